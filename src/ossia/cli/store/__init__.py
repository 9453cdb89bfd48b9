"""``ossia store``: what the server keeps of responses and conversations."""
