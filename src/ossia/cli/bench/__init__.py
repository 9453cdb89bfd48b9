"""``ossia bench``: synthetic checkpoints, and what a model reaches on this machine."""
