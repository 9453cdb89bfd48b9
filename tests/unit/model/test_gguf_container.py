"""The container: what the gguf package wrote is read as it reads it, and no damage gets past typed errors."""

import struct

import gguf
import numpy as np
import pytest
from tiny_gguf import write_gguf

from ossia.errors import CheckpointError
from ossia.model.gguf.blocks import repack_mxfp4, unpack_q8_0
from ossia.model.gguf.container import GgufArray, GgufFile, gguf_architecture, open_gguf, parts_of


@pytest.fixture(scope="module")
def path(tensors, tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", tensors, dense="Q8_0", eos=2)


def test_metadata_and_bytes_equal_the_gguf_packages(path):
    ours, theirs = GgufFile(path), gguf.GGUFReader(path)
    assert ours.tensors.keys() == {tensor.name for tensor in theirs.tensors}
    for tensor in theirs.tensors:
        mine = ours.tensors[tensor.name]
        assert (mine.kind, mine.begin) == (tensor.tensor_type.name, tensor.data_offset)
        assert mine.shape == tuple(int(n) for n in tensor.shape[::-1])
        assert bytes(ours.raw(tensor.name)) == tensor.data.tobytes()
        read = bytearray(mine.size_bytes - 3)
        ours.read_into(tensor.name, 3, memoryview(read))
        assert read == tensor.data.tobytes()[3:]
    keys = {key for key in theirs.fields if not key.startswith("GGUF.")}
    assert ours.metadata.keys() == keys
    for key in keys:
        value = ours.metadata[key]
        made = ours.values(value) if isinstance(value, GgufArray) else value
        assert made == theirs.fields[key].contents(), key


def test_version_2_is_read_and_others_are_named(path, tmp_path):
    data = bytearray(path.read_bytes())
    other = tmp_path / "other.gguf"
    for version, said in ((1, "its version is 1"), (4, "its version is 4"), (3 << 24, "big-endian")):
        data[4:8] = version.to_bytes(4, "little")
        other.write_bytes(data)
        with pytest.raises(CheckpointError, match=said):
            GgufFile(other)
    data[4:8] = (2).to_bytes(4, "little")
    other.write_bytes(data)
    assert GgufFile(other).tensors == GgufFile(path).tensors


def test_every_truncation_is_a_checkpoint_error(path, tmp_path):
    whole, cut = path.read_bytes(), tmp_path / "cut.gguf"
    header = min(tensor.begin for tensor in GgufFile(path).tensors.values())
    sizes = [*range(0, header, 97), header, len(whole) // 2, len(whole) - 40]
    for size in sizes:
        cut.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"cut.gguf is not a whole GGUF file: ") as caught:
            GgufFile(cut)
        assert caught.value.remedy
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"it is truncated: \S+ ends at byte \d+, the file at \d+"):
        GgufFile(cut)


def test_damage_to_the_header_never_gets_past_the_typed_error(path, tmp_path):
    whole, broken = path.read_bytes(), tmp_path / "broken.gguf"
    header = min(tensor.begin for tensor in GgufFile(path).tensors.values())
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(400):
        data = bytearray(whole)
        at = int(rng.integers(4, header - 8))
        data[at : at + 8] = rng.choice([b"\xff" * 8, rng.bytes(8), b"\xff" * 7 + b"\x7f", b"\0" * 8])
        broken.write_bytes(data)
        try:
            open_gguf(broken)
        except CheckpointError:
            refused += 1
    assert refused > 150  # elsewhere it is a name or a number that changed


@pytest.mark.parametrize(
    ("kind", "shape", "second", "said"),
    [
        (0, (4, 4), 48, "b begins inside the tensor before it"),
        (8, (4, 33), 64, "a of type Q8_0 has rows of 33 elements"),
        (0, (1, 1, 1, 1, 1), 64, "a has 5 dimensions"),
        (0, (1 << 40,), 64, "it is truncated"),
        (0, (1 << 63, 1 << 63), 64, "it is truncated"),
    ],
)
def test_tensors_that_cannot_lie_in_the_file(tmp_path, kind, shape, second, said):
    def entry(name, kind, shape, offset):
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        return struct.pack("<Q", 1) + name + dimensions + struct.pack("<IQ", kind, offset)

    data = (
        struct.pack("<4sIQQ", b"GGUF", 3, 2, 0) + entry(b"a", kind, shape, 0) + entry(b"b", 0, (4,), second)
    )
    (tmp_path / "x.gguf").write_bytes(data + bytes(200))
    with pytest.raises(CheckpointError, match=said):
        GgufFile(tmp_path / "x.gguf")


def test_an_alignment_other_than_32(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "gpt-oss")
    writer.add_custom_alignment(256)
    for name in "ab":
        writer.add_tensor(name, np.full(3, ord(name), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = GgufFile(tmp_path / "x.gguf")
    assert [file.tensors[name].begin % 256 for name in "ab"] == [0, 0]
    assert bytes(file.raw("b")) == np.full(3, ord("b"), np.float32).tobytes()


def test_a_type_without_a_reader_is_listed_by_its_name(tmp_path):
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "gpt-oss")
    writer.add_tensor("a", np.zeros((1, 144), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q4_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tensor = GgufFile(tmp_path / "x.gguf").tensors["a"]
    assert (tensor.kind, tensor.shape, tensor.size_bytes) == ("Q4_K", (1, 256), 0)


def test_parts_are_told_by_their_names(tmp_path):
    names = [path.name for path in parts_of(tmp_path / "m-00002-of-00003.gguf")]
    assert names == [f"m-0000{i}-of-00003.gguf" for i in (1, 2, 3)]
    for name in ("m.gguf", "m-00001-of-00000.gguf", "m-1-of-2.gguf", "sha256-00"):
        assert parts_of(tmp_path / name) == [tmp_path / name]


def test_the_architecture_is_told_without_the_rest(path, tmp_path):
    assert gguf_architecture(path) == "gpt-oss"
    (tmp_path / "head").write_bytes(path.read_bytes()[:4096])
    assert gguf_architecture(tmp_path / "head") == "gpt-oss"
    assert gguf_architecture(tmp_path / "nothing") == ""


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("per_row", [1, 3, 90])
def test_mxfp4_rows_follow_the_formats_definition(rows, per_row):
    raw = np.random.default_rng(rows * per_row).integers(0, 256, (rows, per_row, 17), np.uint8)
    elements = np.concatenate([raw[..., 1:] & 15, raw[..., 1:] >> 4], axis=-1)
    wide, scales = np.zeros((rows, 2, per_row, 16), np.uint8), np.zeros((rows, per_row), np.uint8)
    repack_mxfp4(raw.reshape(rows, -1), wide[:, 1], scales)  # every second row
    assert (np.stack([wide[:, 1] & 15, wide[:, 1] >> 4], axis=-1).reshape(elements.shape) == elements).all()
    assert (scales == raw[..., 0]).all()
    assert not wide[:, 0].any()
    repack_mxfp4(raw.reshape(rows, -1), wide[:, 0], scales, published=True)
    assert (wide[:, 0] == raw[..., 1:]).all()


def test_q8_0_rows_keep_their_codes_and_say_what_cannot_be_used():
    rng = np.random.default_rng(1)
    codes, scales = rng.integers(-127, 128, (9, 96), np.int8), rng.random((9, 3)).astype(np.float16)
    raw = np.concatenate([scales.view(np.uint8).reshape(9, 3, 2), codes.view(np.uint8).reshape(9, 3, 32)], -1)
    out, into = np.zeros((9, 96), np.int8), np.zeros((9, 3), np.float32)
    assert unpack_q8_0(raw.reshape(9, -1), out, into)
    assert (out == codes).all()
    assert (into == scales.astype(np.float32)).all()
    for place, value in (((8, 2, 33), 0x80), ((8, 2, 1), 0x7C)):
        broken = raw.copy()
        broken[place] = value
        assert not unpack_q8_0(broken.reshape(9, -1), out, into)
