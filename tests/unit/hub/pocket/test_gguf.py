"""The GGUF reader equals the gguf package, and says clearly when a file is not whole."""

from pathlib import Path

import gguf
import numpy as np
import pytest

from ossia.errors import CheckpointError
from ossia.hub.pocket.gguf import read_gguf


def test_tensors_and_metadata_equal_the_gguf_packages(tiny_base: Path) -> None:
    ours, theirs = read_gguf(tiny_base), gguf.GGUFReader(tiny_base)
    assert ours.names == {tensor.name for tensor in theirs.tensors}
    for tensor in theirs.tensors:
        expected = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(ours.tensor(tensor.name), expected), tensor.name
    for key, value in ours.metadata.items():
        assert theirs.fields[key].contents() == value, key


def test_every_truncation_is_a_checkpoint_error(tiny_base: Path, tmp_path: Path) -> None:
    whole = tiny_base.read_bytes()
    cut = tmp_path / "cut.gguf"
    for size in (0, 3, 7, 20, 100, 1000, len(whole) // 2, len(whole) - 40):
        cut.write_bytes(whole[:size])
        with pytest.raises(CheckpointError) as caught:
            read_gguf(cut)
        assert caught.value.remedy


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"PK\x03\x04" + bytes(200))
    with pytest.raises(CheckpointError, match="does not begin like one"):
        read_gguf(other)


def test_a_missing_tensor_is_named(tiny_base: Path) -> None:
    with pytest.raises(CheckpointError, match=r"blk\.99"):
        read_gguf(tiny_base).tensor("blk.99.attn_q.weight")


def test_a_tensor_type_pocket_does_not_use_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("x", np.ones((2, 32), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(CheckpointError, match="tensor x is of a type pocket does not use: F16"):
        read_gguf(path)
