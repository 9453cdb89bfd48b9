"""Chat Completions and the list of models."""
