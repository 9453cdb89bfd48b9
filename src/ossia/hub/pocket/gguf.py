"""Reads the pocket base: a GGUF file's metadata and its tensors, as float32.

Only what that one file needs: GGUF version 3, little endian, tensor types F32, Q8_0 and Q4_1. It does not
know split files, other quantisations or how to write. (The `gguf` package reads the same file in two
seconds, most of them spent on the vocabulary; this takes a tenth, and says clearly when a file is cut.)
Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError

_MAGIC = b"GGUF"
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
BLOCK = 32  # elements in a quantised block


def _f32(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    return raw.view(np.float32).copy()


def _q8_0(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blocks of float16 scale and 32 int8: x = d·q."""
    blocks = raw.reshape(-1, 34)
    scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    return scale * blocks[:, 2:].view(np.int8).astype(np.float32)


def _q4_1(raw: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blocks of float16 scale and minimum and 32 nibbles (the low ones are the first 16): x = d·q + m."""
    blocks = raw.reshape(-1, 20)
    affine = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate((blocks[:, 4:] & 15, blocks[:, 4:] >> 4), axis=1).astype(np.float32)
    return affine[:, :1] * nibbles + affine[:, 1:]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one tensor type is stored: elements and bytes of a block, and how to read them."""

    elements: int
    size_bytes: int
    decode: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


_KINDS = {0: _Kind(1, 4, _f32), 3: _Kind(BLOCK, 20, _q4_1), 8: _Kind(BLOCK, 34, _q8_0)}


@dataclass(frozen=True, slots=True)
class _Entry:
    shape: tuple[int, ...]  # numpy order: rows first
    kind: _Kind
    offset: int  # from the start of the data section


class GgufFile:
    """An open GGUF file: `metadata` by key, `tensor(name)` dequantised; the data stays memory-mapped."""

    def __init__(self, metadata: dict[str, Any], entries: dict[str, _Entry], data: NDArray[np.uint8]) -> None:
        self.metadata = metadata
        self._entries = entries
        self._data = data

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entry(name).shape

    def tensor(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32, rows first; raises CheckpointError when the file does not have it."""
        entry = self._entry(name)
        raw = self._data[entry.offset : entry.offset + _stored_bytes(entry)]
        return entry.kind.decode(raw).reshape(entry.shape)

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise CheckpointError(
                f"the base has no tensor {name}", value=name, remedy="Fetch the base again."
            )
        return self._entries[name]


def _stored_bytes(entry: _Entry) -> int:
    return prod(entry.shape) // entry.kind.elements * entry.kind.size_bytes


class _Cursor:
    """Reads the header value by value; running past the end is a CheckpointError, never a short value."""

    def __init__(self, raw: NDArray[np.uint8]) -> None:
        self._raw = raw
        self.position = 0

    def take(self, count: int) -> bytes:
        end = self.position + count
        if end > len(self._raw):
            raise _broken("it ends inside its header", value=len(self._raw), limit=end)
        piece = self._raw[self.position : end].tobytes()
        self.position = end
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def string(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            item, count = self.number("<I"), self.number("<Q")
            return [self.value(item) for _ in range(count)]
        if kind not in _SCALARS:
            raise _broken(f"it has a value of unknown type {kind}", value=kind, limit=sorted(_SCALARS))
        return self.number(_SCALARS[kind])


def read_gguf(path: Path) -> GgufFile:
    """Open the GGUF file at `path`.

    Raises CheckpointError when it is not GGUF version 3, is cut short, or holds a tensor type other than
    F32, Q8_0 and Q4_1.
    """
    if not path.is_file() or path.stat().st_size == 0:
        raise _broken("it is missing or empty", value=str(path))
    raw = np.memmap(path, dtype=np.uint8, mode="r")
    cursor = _Cursor(raw)
    if cursor.take(4) != _MAGIC or (version := cursor.number("<I")) != 3:
        raise _broken("it is not a GGUF file of version 3", value=str(path))
    assert version == 3, "checked above"
    num_tensors, num_keys = cursor.number("<Q"), cursor.number("<Q")
    metadata = {cursor.string(): cursor.value(cursor.number("<I")) for _ in range(num_keys)}
    entries = dict(_read_entry(cursor) for _ in range(num_tensors))
    alignment = int(metadata.get("general.alignment", _DEFAULT_ALIGNMENT))
    data = raw[-(-cursor.position // alignment) * alignment :]
    _check_extent(entries, len(data))
    return GgufFile(metadata, entries, data)


def _read_entry(cursor: _Cursor) -> tuple[str, _Entry]:
    name = cursor.string()
    dimensions = cursor.number("<I")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _broken(f"tensor {name} has {dimensions} dimensions", value=dimensions, limit=_MAX_DIMENSIONS)
    shape = tuple(cursor.number("<Q") for _ in range(dimensions))[::-1]
    kind, offset = cursor.number("<I"), cursor.number("<Q")
    if kind not in _KINDS or shape[-1] % _KINDS[kind].elements:
        raise _broken(f"tensor {name} is of a type pocket does not use", value=kind, limit=sorted(_KINDS))
    return name, _Entry(shape, _KINDS[kind], offset)


def _check_extent(entries: dict[str, _Entry], available: int) -> None:
    needed = max((entry.offset + _stored_bytes(entry) for entry in entries.values()), default=0)
    if needed > available:
        raise _broken("it is cut short", value=available, limit=needed)


def _broken(what: str, *, value: object = None, limit: object = None) -> CheckpointError:
    return CheckpointError(
        f"the base file cannot be used: {what}", value=value, limit=limit, remedy="Fetch the base again."
    )
