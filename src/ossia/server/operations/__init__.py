"""What a request is held to and counted in: keys, the queue, metrics, the log."""
