"""A safetensors file, mapped: a header of names, types, shapes and offsets, then the bytes.

The format: 8 bytes little-endian header length N, N bytes JSON, data. Each tensor's `data_offsets` are
relative to the data. Our own reader, because bulk data must stay in the page cache, shared, and MXFP4 tensors
must come as views of it. What is needed in another form is read into the caller's memory instead: pages that
are never touched through the mapping do not count as ours.
"""

import json
import mmap
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError

# The file's type names, how we view the bytes (BF16 as its 16 raw bits), and bytes per value.
DTYPES: dict[str, np.dtype[Any]] = {
    "U8": np.dtype(np.uint8), "BF16": np.dtype(np.uint16), "F16": np.dtype(np.float16),
    "F32": np.dtype(np.float32),
}  # fmt: skip
_OTHER_SIZES = {"BOOL": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "I16": 2, "U16": 2, "I32": 4,
                "U32": 4, "I64": 8, "U64": 8, "F64": 8, "C64": 8}  # fmt: skip
_MAX_HEADER = 100_000_000  # safetensors' own limit


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies: `begin` and `end` are byte offsets in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class TensorFile:
    """One mapped file: `infos` by name, read-only views that keep the mapping alive, and plain reading.

    `fd` is open for as long as this object lives.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDONLY)
            weakref.finalize(self, os.close, self.fd)
            size = os.fstat(self.fd).st_size
            if size < 8:
                raise _broken(path, f"it has {size} bytes", size, "at least 8 bytes")
            self._map = mmap.mmap(self.fd, 0, access=mmap.ACCESS_READ)
        except OSError as e:
            raise CheckpointError(
                f"{path.name} cannot be read from {path.parent}: {e.strerror}", value=path.name,
                limit="every shard present", remedy="Fetch the model again; finished files are kept.",
            ) from e  # fmt: skip
        self.infos = _read_header(path, self._map, size)

    def array(self, name: str) -> NDArray[Any]:
        """The tensor as its bytes' type: uint8, uint16 (bf16's bits), float16 or float32."""
        info = self.infos[name]
        dtype = DTYPES[info.dtype]
        count = (info.end - info.begin) // dtype.itemsize
        return np.frombuffer(self._map, dtype, count, info.begin).reshape(info.shape)

    def read_into(self, name: str, offset: int, out: NDArray[Any]) -> None:
        """Fill contiguous `out` with the tensor's bytes from `offset`, neither mapped nor with the GIL held.

        Raises CheckpointError where the disk fails or the file has become shorter.
        """
        at, rest = self.infos[name].begin + offset, out.data.cast("B")
        try:
            while rest:
                count = os.preadv(self.fd, [rest], at)
                if not count:
                    raise _broken(self.path, f"it ends inside {name}", at, self.infos[name].end)
                at, rest = at + count, rest[count:]
        except OSError as e:
            raise self._unreadable(e) from e

    def will_need(self, name: str, offset: int, size: int) -> None:
        """Let the system start reading `size` bytes of the tensor from the disk."""
        if hasattr(os, "posix_fadvise"):  # not on macOS
            at = self.infos[name].begin + offset
            os.posix_fadvise(self.fd, at, size, os.POSIX_FADV_WILLNEED)

    def _unreadable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self.path.name} cannot be read from {self.path.parent}: {error.strerror}",
            value=self.path.name,
            limit="a readable file",
            remedy="Check the disk, then fetch the model again.",
        )


def _read_header(path: Path, data: mmap.mmap, size: int) -> dict[str, TensorInfo]:
    length = int.from_bytes(data[:8], "little")
    if length > min(size - 8, _MAX_HEADER):
        raise _broken(path, f"its header would be {length} bytes long", length, min(size - 8, _MAX_HEADER))
    try:
        header: object = json.loads(data[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as e:
        raise _broken(path, f"its header is not JSON ({e})", path.name, "a safetensors file") from e
    if not isinstance(header, dict):
        raise _broken(path, "its header is not a JSON object", path.name, "a safetensors file")
    entries = cast(dict[str, object], header)
    infos = [
        _info(path, name, entry, 8 + length) for name, entry in entries.items() if name != "__metadata__"
    ]
    _check_extent(path, infos, 8 + length, size)
    return {info.name: info for info in infos}


def _info(path: Path, name: str, entry: object, base: int) -> TensorInfo:
    try:
        e = cast(dict[str, Any], entry)
        dtype, shape = str(e["dtype"]), tuple(int(n) for n in e["shape"])
        begin, end = (int(n) for n in e["data_offsets"])
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise _broken(
            path, f"its header's entry for {name} is malformed", name, "dtype, shape, data_offsets"
        ) from error
    itemsize = DTYPES[dtype].itemsize if dtype in DTYPES else _OTHER_SIZES.get(dtype, 0)
    count = int(np.prod(shape, dtype=object))
    if min(shape, default=0) < 0 or begin < 0 or (itemsize and count * itemsize != end - begin):
        raise _broken(
            path, f"{name} of type {dtype} and shape {list(shape)} claims bytes {begin} to {end}",
            end - begin, count * itemsize,
        )  # fmt: skip
    return TensorInfo(name, dtype, shape, base + begin, base + end)


def _check_extent(path: Path, infos: list[TensorInfo], base: int, size: int) -> None:
    """Tensors lie side by side and fill the file: a shorter file is truncated, a longer one foreign."""
    expected = base
    for info in sorted(infos, key=lambda i: (i.begin, i.end)):
        if info.begin != expected:
            raise _broken(
                path, f"{info.name} begins at byte {info.begin}, where byte {expected} was due",
                info.begin, expected,
            )  # fmt: skip
        expected = info.end
    if size != expected:
        what = "truncated" if size < expected else "longer than its header says"
        raise _broken(path, f"it is {what}: {size} bytes instead of {expected}", size, expected)


def _broken(path: Path, why: str, value: object, limit: object) -> CheckpointError:
    return CheckpointError(
        f"{path.name} cannot be used: {why}", value=value, limit=limit,
        remedy=f"Delete {path} and fetch the model again.",
    )  # fmt: skip
