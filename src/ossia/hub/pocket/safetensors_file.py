"""The safetensors format, as far as pocket needs it: read a whole file from bytes, write one tensor after
another.

The format is a length, a JSON header and the data; written here so that bfloat16 needs no library that knows
it, and a checkpoint is never in memory twice. Source: https://github.com/huggingface/safetensors#format
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.kernels.tensors import bf16_to_f32, f32_to_bf16

_STORED: dict[str, type[np.generic]] = {"BF16": np.uint16, "F32": np.float32, "I16": np.int16, "U8": np.uint8}
_ALIGNMENT = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as it is stored: `kind` is the format's name of its type, `data` its raw elements."""

    kind: str
    data: NDArray[Any]

    @classmethod
    def of(cls, values: NDArray[Any], kind: str) -> "Stored":
        """`values` stored as `kind`; float32 becomes bfloat16 for "BF16"."""
        data = f32_to_bf16(values) if kind == "BF16" else values.astype(_STORED[kind])
        return cls(kind, np.ascontiguousarray(data))


def write_tensors(path: Path, tensors: dict[str, Stored]) -> None:
    """Write `tensors` to `path` in the order of their names."""
    with path.open("wb") as file:
        for piece in _pieces(tensors):
            file.write(piece)


def encode_tensors(tensors: dict[str, Stored]) -> bytes:
    """The file that `write_tensors` writes, as bytes."""
    return b"".join(_pieces(tensors))


def _pieces(tensors: dict[str, Stored]) -> Iterator[bytes]:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted(tensors.items()):
        start, end = end, end + tensor.data.nbytes
        header[name] = {"dtype": tensor.kind, "shape": list(tensor.data.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in sorted(tensors.items()):
        yield tensor.data.tobytes()


def read_tensors(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a whole file, bfloat16 widened to float32; raises CheckpointError for any other."""
    try:
        size = int.from_bytes(data[:8], "little")
        header: dict[str, Any] = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        return {name: _tensor(entry, data[8 + size :]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise CheckpointError(
            f"pocket's adapter is not a whole safetensors file: {cause}",
            value=len(data),
            remedy="Install Ossia again.",
        ) from cause


def _tensor(entry: dict[str, Any], body: bytes) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    if end > len(body):
        raise ValueError("it is cut short")
    kind: str = entry["dtype"]
    raw = np.frombuffer(body[start:end], _STORED[kind]).reshape(entry["shape"])
    return bf16_to_f32(raw.astype(np.uint16)) if kind == "BF16" else raw.copy()
