"""The API that clients of Ollama speak."""
