"""Memory: what there is, whether a model fits, how a limit is divided, experts that stream from the disk."""
