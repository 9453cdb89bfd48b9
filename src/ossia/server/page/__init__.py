"""The small page at /."""
