"""What Ossia makes of a GGUF file besides its weights."""
