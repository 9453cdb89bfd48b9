"""Checkpoints on disk: the file formats, the name tables of the layouts, and the checks that join them."""

from ossia.model.checkpoint.checkpoint import Checkpoint, as_float32
from ossia.model.checkpoint.either import AnyCheckpoint, open_checkpoint, read_config
from ossia.model.checkpoint.gguf_checkpoint import GgufCheckpoint

__all__ = ["AnyCheckpoint", "Checkpoint", "GgufCheckpoint", "as_float32", "open_checkpoint", "read_config"]
