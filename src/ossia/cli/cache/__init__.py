"""``ossia cache``: the computed prompts on the disk."""
