"""A GGUF file, or the parts one was split into: metadata, where each tensor lies, and its bytes.

Versions 2 and 3, little endian. Knows the container only: what a tensor's bytes mean is `blocks`', which
tensors a model has `layouts`'; and no numpy, so that listing models stays light. Arrays are walked over when
the header is read and made into values when asked for: a vocabulary is 200,000 strings. (The `gguf` package
takes seconds for them.)
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from ossia.errors import CheckpointError

ARCHITECTURES = ("gpt-oss", "gptoss")  # llama.cpp's name, and the one Ollama's first files carried

_HEAD = struct.Struct("<4sIQQ")  # magic, version, tensors, keys
_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_VERSIONS = (2, 3)
_U32, _U64, _ITEMS = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<IQ")
_SCALARS = {
    code: struct.Struct(f"<{letter}")
    for code, letter in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
    }.items()
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MAX_HEADER = 1 << 29  # bytes; a real one has some 15 MB
_MAX_DIMENSIONS = 4
_WILLNEED = 3


@dataclass(frozen=True, slots=True)
class Kind:
    """How a tensor type is stored: `size_bytes` for every `elements` along a row."""

    name: str
    elements: int
    size_bytes: int


# "MXFP4-HF" is what Ollama's first gpt-oss files called type 4: 17 bytes too, nibbles in published order.
KINDS = {
    code: Kind(*kind)
    for code, kind in {
        0: ("F32", 1, 4), 1: ("F16", 1, 2), 3: ("Q4_1", 32, 20), 4: ("MXFP4-HF", 32, 17),
        8: ("Q8_0", 32, 34), 30: ("BF16", 1, 2), 39: ("MXFP4", 32, 17),
    }.items()
}  # fmt: skip
_OTHER_KINDS = {
    2: "Q4_0", 6: "Q5_0", 7: "Q5_1", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
    15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M",
    34: "TQ1_0", 35: "TQ2_0", 40: "NVFP4",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array of the metadata, not yet made: `count` items from byte `begin` of the header."""

    item: int
    count: int
    begin: int


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """`shape` rows first; `begin` and `size_bytes` in the file. size_bytes is 0 for a kind not in KINDS."""

    name: str
    kind: str
    shape: tuple[int, ...]
    begin: int
    size_bytes: int


class GgufFile:
    """One file: `metadata` (numbers, strings, GgufArray), `tensors` by name, mapped bytes."""

    def __init__(self, path: Path) -> None:
        """Read the header; raises CheckpointError when the file is missing, damaged or cut short."""
        self.path = path
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.metadata, self.tensors = _read_header(self._map)
        except (OSError, ValueError, OverflowError, struct.error) as error:
            why = "it ends inside its header" if isinstance(error, struct.error) else error
            raise CheckpointError(
                f"{path.name} is not a whole GGUF file: {why}", value=str(path), limit="GGUF version 2 or 3",
                remedy="Fetch it again with the program it came from.",
            ) from error  # fmt: skip

    def values(self, array: GgufArray) -> list[Any]:
        """The items of one of the metadata's arrays."""
        at, made = array.begin, list[Any]()
        for _ in range(array.count):
            value, at = _value(self._map, at, array.item)
            made.append(value)
        return made

    def raw(self, name: str) -> memoryview:
        """A tensor's bytes, a read-only view of the mapped file that keeps it open."""
        tensor = self.tensors[name]
        return memoryview(self._map)[tensor.begin : tensor.begin + tensor.size_bytes]

    def read_into(self, name: str, at: int, out: memoryview) -> None:
        """Fill contiguous `out` from byte `at` of a tensor, by reading: for bytes that are needed once.

        Raises CheckpointError when the file has become shorter or cannot be read.
        """
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.tensors[name].begin + at)
                view, done = out.cast("B"), 0
                while done < len(view) and (count := file.readinto(view[done:])):
                    done += count
        except OSError as error:
            raise _unreadable(self.path, error.strerror or str(error)) from error
        if done < len(view):
            raise _unreadable(self.path, f"it ends inside {name}")

    def will_need(self, name: str, offset: int, size: int) -> None:
        """Let the operating system start reading `size` bytes of a tensor from the disk."""
        if not hasattr(self._map, "madvise"):  # Windows
            return
        first = self.tensors[name].begin + offset
        begin = first - first % mmap.PAGESIZE
        self._map.madvise(_WILLNEED, begin, min(first + size, len(self._map)) - begin)


class Gguf:
    """A model's GGUF file with all its parts: `metadata` of the first, `places` of every tensor."""

    def __init__(self, files: list[GgufFile]) -> None:
        self.path = files[0].path
        self.metadata = files[0].metadata
        self.places: dict[str, GgufFile] = {}
        self._first = files[0]
        for file in files:
            for name in file.tensors:
                if name in self.places:
                    where = f"{self.places[name].path.name} and in {file.path.name}"
                    raise CheckpointError(
                        f"{name} is in {where}", value=name, limit="every tensor once",
                        remedy="Fetch the model again with the program it came from.",
                    )  # fmt: skip
                self.places[name] = file

    def tensor(self, name: str) -> GgufTensor:
        return self.places[name].tensors[name]

    def values(self, key: str) -> list[Any]:
        """The items of the array under `key`; [] when it is not there or no array."""
        array = self.metadata.get(key)
        return self._first.values(array) if isinstance(array, GgufArray) else []


def open_gguf(path: Path) -> Gguf:
    """Read the headers of a GGUF file, and of its other parts when it is one of -00001-of-0000N.

    Raises CheckpointError for a part that is missing, damaged, or of another model.
    """
    paths = parts_of(path)
    if absent := [part.name for part in paths if not part.is_file()]:
        raise CheckpointError(
            f"{len(absent)} of {len(paths)} parts of {path.name} are missing: {', '.join(absent[:5])}",
            value=absent, limit=len(paths), remedy="Fetch the missing parts with the program they came from.",
        )  # fmt: skip
    files = [GgufFile(part) for part in paths]
    for number, file in enumerate(files):
        said = file.metadata.get("split.no", 0), file.metadata.get("split.count", 1) or 1
        if said != (number, len(files)):
            raise CheckpointError(
                f"{file.path.name} says it is part {said[0]} (from 0) of {said[1]}", value=said,
                limit=(number, len(files)), remedy="Give back the parts the names they were published with.",
            )  # fmt: skip
    return Gguf(files)


def gguf_architecture(path: Path) -> str:
    """`general.architecture` of a GGUF file, which its writers put first; "" when it is not there."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return ""
    try:
        magic, *_ = _HEAD.unpack_from(head)
        key, at = _string(head, _HEAD.size)
        value, _ = _value(head, at + 4, _U32.unpack_from(head, at)[0])
    except (ValueError, OverflowError, struct.error):
        return ""
    said = magic == b"GGUF" and key == "general.architecture" and isinstance(value, str)
    return value if said else ""


def is_gpt_oss(path: Path) -> bool:
    """Whether a GGUF file says that it is of the gpt-oss architecture."""
    return gguf_architecture(path) in ARCHITECTURES


def parts_of(path: Path) -> list[Path]:
    """The files a model consists of when `path` is one of them, name-00001-of-0000N.gguf; [path] if whole."""
    found = _PART.search(path.name)
    if not found or not int(found[2]):
        return [path]
    stem, count = path.name[: found.start()], int(found[2])
    return [path.with_name(f"{stem}-{i:05}-of-{count:05}.gguf") for i in range(1, count + 1)]


def _read_header(data: mmap.mmap) -> tuple[dict[str, Any], dict[str, GgufTensor]]:
    magic, version, num_tensors, num_keys = _HEAD.unpack_from(data)
    if magic != b"GGUF":
        raise ValueError("it does not begin like one")
    if version not in _VERSIONS:
        big = " (it is written for big-endian machines)" if version >= 1 << 24 else ""
        raise ValueError(f"its version is {version}{big}")
    metadata: dict[str, Any] = {}
    at = _HEAD.size
    for _ in range(num_keys):
        key, at = _string(data, at)
        (kind,) = _U32.unpack_from(data, at)
        metadata[key], at = _value(data, at + 4, kind)
    tensors: list[GgufTensor] = []
    for _ in range(num_tensors):
        tensor, at = _tensor(data, at)
        tensors.append(tensor)
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20:
        raise ValueError(f"its alignment is {alignment}")
    base = -(-at // alignment) * alignment
    return metadata, _placed(tensors, base, len(data))


def _value(data: bytes | mmap.mmap, at: int, kind: int) -> tuple[Any, int]:
    """(value, position after it); an array as GgufArray."""
    if kind == _STRING:
        return _string(data, at)
    if kind == _ARRAY:
        item, count = _ITEMS.unpack_from(data, at)
        begin = at + _ITEMS.size
        return GgufArray(item, count, begin), _skip(data, begin, item, count)
    if kind not in _SCALARS:
        raise ValueError(f"it has a value of type {kind}")
    form = _SCALARS[kind]
    return form.unpack_from(data, at)[0], at + form.size


def _string(data: bytes | mmap.mmap, at: int) -> tuple[str, int]:
    (length,) = _U64.unpack_from(data, at)
    begin = at + 8
    if begin + length > len(data):
        raise ValueError("it ends inside a string")
    return data[begin : begin + length].decode("utf-8", "replace"), begin + length


def _skip(data: bytes | mmap.mmap, at: int, item: int, count: int) -> int:
    """The position after an array's items."""
    limit = min(len(data), _MAX_HEADER)
    if item in _SCALARS:
        at += count * _SCALARS[item].size
    elif item == _STRING:
        length_at = _U64.unpack_from
        for _ in range(count):
            at += 8 + length_at(data, at)[0]
            if at > limit:
                break
    else:
        raise ValueError(f"it has an array of type {item}")
    if at > limit:
        raise ValueError("it ends inside an array")
    return at


def _tensor(data: mmap.mmap, at: int) -> tuple[GgufTensor, int]:
    """A tensor's entry, its `begin` counted from the data's start, and the position after it."""
    name, at = _string(data, at)
    (dimensions,) = _U32.unpack_from(data, at)
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise ValueError(f"{name} has {dimensions} dimensions")
    shape = struct.unpack_from(f"<{dimensions}Q", data, at + 4)[::-1]
    code, begin = struct.unpack_from("<IQ", data, at + 4 + 8 * dimensions)
    at += 16 + 8 * dimensions
    kind = KINDS.get(code)
    if kind is None:
        return GgufTensor(name, _OTHER_KINDS.get(code, f"type {code}"), shape, begin, 0), at
    if shape[-1] % kind.elements:
        raise ValueError(f"{name} of type {kind.name} has rows of {shape[-1]} elements")
    return GgufTensor(name, kind.name, shape, begin, prod(shape) // kind.elements * kind.size_bytes), at


def _placed(tensors: list[GgufTensor], base: int, size: int) -> dict[str, GgufTensor]:
    """Tensors by name with positions in the file, which must hold them, each in its own place."""
    placed: dict[str, GgufTensor] = {}
    end = base
    for t in sorted(tensors, key=lambda t: t.begin):
        begin = base + t.begin
        if t.name in placed:
            raise ValueError(f"it lists {t.name} twice")
        if begin < end:
            raise ValueError(f"{t.name} begins inside the tensor before it")
        end = begin + t.size_bytes
        if end > size:
            raise ValueError(f"it is truncated: {t.name} ends at byte {end}, the file at {size}")
        placed[t.name] = GgufTensor(t.name, t.kind, t.shape, begin, t.size_bytes)
    return placed


def _unreadable(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} cannot be read: {why}", value=str(path), limit="a whole GGUF file",
        remedy="Fetch it again with the program it came from.",
    )  # fmt: skip
