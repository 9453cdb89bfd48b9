"""``ossia harmony``: conversations as the model sees them, token by token."""
