"""The small safetensors writer and reader, against the library."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from ossia.errors import CheckpointError
from ossia.hub.pocket.safetensors_file import Stored, encode_tensors, read_tensors, write_tensors

VALUES = np.random.default_rng(3).normal(size=(3, 5)).astype(np.float32)


def _tensors() -> dict[str, Stored]:
    return {
        "b": Stored.of(VALUES, "BF16"),
        "a": Stored.of(VALUES, "F32"),
        "c": Stored.of(np.arange(7), "I16"),
        "d": Stored.of(np.arange(4), "U8"),
    }


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    tensors = {name: tensor for name, tensor in _tensors().items() if tensor.kind != "BF16"}
    write_tensors(tmp_path / "x.safetensors", tensors)
    found = load_file(tmp_path / "x.safetensors")
    assert np.array_equal(found["a"], VALUES)
    assert found["c"].tolist() == list(range(7))
    assert found["d"].tolist() == list(range(4))


def test_reading_gives_back_what_was_stored() -> None:
    found = read_tensors(encode_tensors(_tensors()))
    assert np.array_equal(found["a"], VALUES)
    assert np.abs(found["b"] - VALUES).max() <= np.abs(VALUES).max() * 2**-8
    assert found["b"].dtype == np.float32


def test_every_truncation_is_a_checkpoint_error() -> None:
    whole = encode_tensors(_tensors())
    for size in (0, 5, 8, 60, len(whole) // 2, len(whole) - 1):
        with pytest.raises(CheckpointError):
            read_tensors(whole[:size])
