"""Conversations as others write them: Harmony text, Chat Completions, Responses; read, never written."""
