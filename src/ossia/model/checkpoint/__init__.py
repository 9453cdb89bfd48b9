"""Checkpoints on disk: the file format, the name table of the layouts, and the checks that join them."""

from ossia.model.checkpoint.checkpoint import Checkpoint, as_float32, open_checkpoint

__all__ = ["Checkpoint", "as_float32", "open_checkpoint"]
