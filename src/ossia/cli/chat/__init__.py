"""The terminal chat: session, slash commands, view, prompt, and plain lines where there is no terminal."""
