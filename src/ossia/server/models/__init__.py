"""The models a server has: which are installed, which one is in memory, and for how long."""
