"""One question, one answer: `ossia run`, and what it shares with the chat (options, opening a model)."""
