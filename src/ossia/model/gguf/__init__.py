"""GGUF files: the container, its metadata as a config, its tensors' names, and what their blocks mean."""
