"""The embedded default model: fetching its base, and converting it to a gpt-oss checkpoint."""
