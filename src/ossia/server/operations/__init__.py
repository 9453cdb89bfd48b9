"""How the server is run: who may ask, how much at once, which model is in memory, what is counted."""
