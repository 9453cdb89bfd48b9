"""The HTTP server: three dialects (Responses, Chat Completions, Ollama) over one conversation, one loop."""
