"""The bridge between words and numbers: the agent loop, its events, and the Python interface over them."""
