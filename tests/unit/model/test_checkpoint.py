"""Opening a model folder: three layouts, one set of names, and every way a folder can be wrong."""

import json

import numpy as np
import pytest
from safetensors import safe_open
from tiny_gptoss import (
    CONFIG,
    as_stored,
    bits_float32,
    dense_experts,
    original_config,
    original_layout,
    quantised,
    write_checkpoint,
    write_tensors,
)

from ossia.errors import CheckpointError
from ossia.model.checkpoint import as_float32, open_checkpoint


@pytest.fixture
def folder(stored, tmp_path):
    """A copy of the tiny model to break, one file."""
    return write_checkpoint(tmp_path / "m", stored, quantised())


def refused(folder, said):
    with pytest.raises(CheckpointError, match=said) as e:
        open_checkpoint(folder)
    assert e.value.remedy
    assert e.value.value is not None


def test_shards_and_single_file_hold_the_same(tiny_folder, folder, stored):
    a, b = open_checkpoint(tiny_folder), open_checkpoint(folder)
    assert set(a.names) == set(b.names) == set(stored)
    assert a.size_bytes == b.size_bytes == sum(x.nbytes for x in stored.values())
    for name, x in stored.items():
        assert (a.array(name) == x).all()
        assert (b.array(name) == x).all()


def test_original_names_and_fused_qkv_are_the_same_tensors(tmp_path, stored):
    ckpt = open_checkpoint(write_checkpoint(tmp_path, original_layout(stored), original_config()))
    assert ckpt.layout == "original"
    assert set(ckpt.names) == set(stored)
    for name, x in stored.items():
        assert (ckpt.array(name) == x).all(), name


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_unquantised_experts(tmp_path, tensors, dtype):
    dense = dense_experts(tensors)
    ckpt = open_checkpoint(write_checkpoint(tmp_path, as_stored(dense, dtype), CONFIG))
    name = "model.layers.1.mlp.experts.down_proj"
    assert (as_float32(ckpt.array(name)) == dense[name]).all()


def test_shards_without_an_index(tiny_folder, tmp_path):
    for path in tiny_folder.iterdir():
        if "index" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    assert open_checkpoint(tmp_path).size_bytes == open_checkpoint(tiny_folder).size_bytes


def test_reads_what_the_public_library_writes_and_the_other_way_round(folder, tensors):
    ckpt = open_checkpoint(folder)
    with safe_open(folder / "model.safetensors", "np") as f:
        for name in (
            "model.layers.0.mlp.experts.down_proj_blocks",
            "model.layers.3.mlp.experts.down_proj_scales",
        ):
            assert (f.get_tensor(name) == ckpt.array(name)).all()


def test_bulk_is_mapped_not_copied(folder):
    blocks = open_checkpoint(folder).array("model.layers.0.mlp.experts.down_proj_blocks")
    assert not blocks.flags.owndata
    assert not blocks.flags.writeable
    base = blocks
    while isinstance(base, np.ndarray):
        base = base.base
    assert type(getattr(base, "obj", base)).__name__ == "mmap"


def test_as_float32_is_exact():
    bits = np.array([0x3F80, 0xC040, 0x0001], np.uint16)
    assert (as_float32(bits) == bits_float32(bits)).all()
    assert as_float32(np.array([1.5], np.float16)) == 1.5


def test_a_missing_folder_or_an_empty_one(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(quantised()))
    refused(tmp_path, "holds no safetensors file")


def test_a_missing_shard(tiny_folder, tmp_path):
    for path in tiny_folder.iterdir():
        if "00001-of" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    refused(tmp_path, "model-00001-of-00002.safetensors cannot be read")


def test_missing_tensors_are_listed(tmp_path, stored):
    gone = {k: x for k, x in stored.items() if "layers.2.self_attn.sinks" not in k}
    refused(
        write_checkpoint(tmp_path, gone, quantised()),
        r"1 tensors are missing: model\.layers\.2\.self_attn\.sinks",
    )


def test_unused_tensors_are_listed(tmp_path, stored):
    more = stored | {"model.vision.weight": np.zeros(4, np.float32)}
    refused(
        write_checkpoint(tmp_path, more, quantised()), r"1 tensors are not part of the model: model\.vision"
    )


def test_long_lists_are_cut(tmp_path, stored):
    refused(
        write_checkpoint(tmp_path, {"lm_head.weight": stored["lm_head.weight"]}, quantised()), "and 73 more"
    )


def test_a_config_of_another_size(tmp_path, stored):
    refused(
        write_checkpoint(tmp_path, stored, quantised() | {"vocab_size": 161}), r"\[160, 64\], not \[161, 64\]"
    )


def test_mxfp4_files_beside_an_unquantised_config(tmp_path, stored):
    refused(write_checkpoint(tmp_path, stored, CONFIG), "unquantised experts")


def test_a_wrong_type(tmp_path, stored):
    name = "model.layers.0.mlp.router.weight"
    wrong = stored | {name: stored[name].astype(np.uint8)}
    refused(write_checkpoint(tmp_path, wrong, quantised()), "is of type U8, not BF16 or F16 or F32")


def test_one_tensor_twice(tiny_folder, tmp_path, stored):
    for path in tiny_folder.iterdir():
        if "index" not in path.name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    write_tensors(tmp_path / "extra.safetensors", {"lm_head.weight": stored["lm_head.weight"]})
    refused(tmp_path, r"lm_head\.weight is in extra\.safetensors and in model-0000")


@pytest.mark.parametrize("cut", [0, 5, 8, 100, -1, -100_000])
def test_truncated_files(folder, cut):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:cut])
    refused(folder, r"model\.safetensors cannot be used")


def test_a_file_that_goes_on_after_its_tensors(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    refused(folder, "longer than its header says")


def test_something_else_under_the_name(folder):
    (folder / "model.safetensors").write_bytes(b"<!DOCTYPE html><html>not found</html>" * 10)
    refused(folder, "its header would be")
    (folder / "model.safetensors").write_bytes((16).to_bytes(8, "little") + b"[1, 2, 3]       ")
    refused(folder, "not a JSON object")
    (folder / "model.safetensors").write_bytes((16).to_bytes(8, "little") + b"\xff" * 16)
    refused(folder, "not JSON")


def header_of(entries, size):
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, "claims bytes 0 to 4"),
        ({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]}}, "claims bytes"),
        ({"a": {"dtype": "F32", "shape": [1]}}, "entry for a is malformed"),
        ({"a": 3}, "entry for a is malformed"),
        (
            {
                "a": {"dtype": "U8", "shape": [6], "data_offsets": [0, 6]},
                "b": {"dtype": "U8", "shape": [6], "data_offsets": [2, 8]},
            },
            "b begins at byte",
        ),
        ({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}, "a begins at byte"),
        ({"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}}, "truncated"),
    ],
)
def test_headers_that_lie(folder, entries, said):
    (folder / "model.safetensors").write_bytes(header_of(entries, 8))
    refused(folder, said)


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": 3}'])
def test_an_index_that_is_none(folder, index):
    (folder / "model.safetensors.index.json").write_text(index)
    refused(folder, "is not a safetensors index")


def test_an_index_that_points_outside(folder):
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret.safetensors"}}')
    refused(folder, "a file outside the folder")


def test_damaged_headers_are_refused_or_harmless(folder):
    """A header with a few bytes changed, a thousand times: CheckpointError, or a file that still holds."""
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    rng = np.random.default_rng(0)
    refusals = 0
    for _ in range(1000):
        header = bytearray(raw[: 8 + length])
        for at in rng.integers(0, len(header), rng.integers(1, 4)):
            header[at] = rng.choice(np.frombuffer(b'0159-{}[]",:\x00\xffeE.', np.uint8))
        with path.open("r+b") as f:
            f.write(header)
        try:
            open_checkpoint(folder)
        except CheckpointError:
            refusals += 1
    assert refusals > 900
