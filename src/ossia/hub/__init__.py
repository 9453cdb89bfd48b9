"""Models by name: which are here, how to get them, whether they are whole, and how to load them."""
