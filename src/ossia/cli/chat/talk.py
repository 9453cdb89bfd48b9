"""The state of one chat: the model, its settings and the conversation, as slash commands change them."""


