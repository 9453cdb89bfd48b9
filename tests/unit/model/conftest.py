"""The model's tests build tiny random checkpoints; the builder stands beside the oracle tests."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "oracle"))

from tiny_gptoss import CONFIG, as_stored, quantised, tiny_tensors, write_checkpoint


@pytest.fixture(scope="session")
def tensors():
    """Hugging Face names → values, MXFP4 experts."""
    return tiny_tensors()


@pytest.fixture(scope="session")
def stored(tensors):
    """The same as a file holds them: bf16's bits and bytes."""
    return as_stored(tensors)


@pytest.fixture(scope="session")
def tiny_folder(stored, tmp_path_factory):
    """A folder with the tiny model in the published layout, three shards."""
    return write_checkpoint(tmp_path_factory.mktemp("tiny"), stored, quantised(CONFIG), shards=3)


@pytest.fixture
def rng():
    return np.random.default_rng(0)
