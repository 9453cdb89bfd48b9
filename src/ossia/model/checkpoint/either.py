"""A model's files, of whichever format lies there: a folder of safetensors, or a GGUF file."""

from pathlib import Path

from ossia.model.checkpoint.checkpoint import Checkpoint
from ossia.model.checkpoint.checkpoint import open_checkpoint as open_folder
from ossia.model.checkpoint.gguf_checkpoint import GgufCheckpoint, open_gguf_checkpoint
from ossia.model.config import ModelConfig, load_config
from ossia.model.gguf.config import gguf_config
from ossia.model.gguf.container import open_gguf

AnyCheckpoint = Checkpoint | GgufCheckpoint


def open_checkpoint(path: Path, config: ModelConfig | None = None) -> AnyCheckpoint:
    """Check every tensor of the folder or GGUF file at `path`; `config` is read from there if not given.

    Raises CheckpointError (files or tensors missing, unused, truncated, of a wrong shape or type) and
    ConfigError.
    """
    return open_gguf_checkpoint(path, config) if path.is_file() else open_folder(path, config)


def read_config(path: Path) -> ModelConfig:
    """The config of the folder or GGUF file at `path`; raises ConfigError, CheckpointError (broken GGUF)."""
    return gguf_config(open_gguf(path)) if path.is_file() else load_config(path)
