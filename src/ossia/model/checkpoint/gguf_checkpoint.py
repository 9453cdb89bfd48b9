"""A GGUF model's tensors by Hugging Face name, with the face of a safetensors Checkpoint.

Dense parts are read, row by row, as the values they stand for. MXFP4 experts lie in the file in another order
than the kernels', so `read_mxfp4` rearranges them on the way into memory: they cannot stay mapped. Q8_0
weights can become ours code by code (`read_q8`). Opening proves names, shapes, types and byte ranges.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.model.config import ModelConfig
from ossia.model.gguf.blocks import q8_0_to_float, repack_mxfp4, round_to_bf16, unpack_q8_0
from ossia.model.gguf.config import gguf_config
from ossia.model.gguf.container import KINDS, Gguf, GgufTensor, open_gguf
from ossia.model.gguf.layouts import GgufPlace, gguf_table

_BYTES = {kind.name: kind for kind in KINDS.values()}
_DTYPES: dict[str, np.dtype[Any]] = {
    "BF16": np.dtype(np.uint16), "F16": np.dtype(np.float16), "F32": np.dtype(np.float32),
    "Q8_0": np.dtype(np.float32),
}  # fmt: skip
_PIECE_BYTES = 1 << 20
_ROUNDED = 1 << 16  # values at a time: they and what is in between stay in a core's cache
_SHOWN = 5
_LOADED = "MXFP4, Q8_0, BF16, F16 and F32"


class GgufCheckpoint:
    """Tensors by Hugging Face name; of MXFP4 experts and Q8_0 matrices by `stored` name too."""

    layout = "gguf"

    def __init__(self, gguf: Gguf, config: ModelConfig) -> None:
        """Check the tensors against `config`; raises CheckpointError."""
        self.gguf = gguf
        self.path = gguf.path
        self.config = config
        self._places = gguf_table(config, gguf.places)
        _check(gguf, self._places)

    @property
    def names(self) -> tuple[str, ...]:
        """Our names of all tensors; experts' blocks and scales under one name."""
        return tuple(self._places)

    @property
    def size_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(self.gguf.tensor(name).size_bytes for name in self.gguf.places)

    def stored(self, name: str) -> tuple[str, ...]:
        """The file's names of the tensors whose rows, in turn, are ours."""
        return self._places[name].stored

    def kind(self, name: str) -> str:
        """The type a tensor is stored in, as GGUF calls it."""
        return self._tensor(name).kind

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape `array` has; experts' rows are outputs: (E, 2F, H), (E, H, F)."""
        return self._places[name].shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """The type `read_into` fills: uint16 (bf16's bits), float16 or float32, which Q8_0 becomes."""
        return _DTYPES[self.kind(name)]

    def row_bytes(self, name: str) -> int:
        """Stored bytes of one row of the first axis."""
        return _row_bytes(self._tensor(name))

    def position(self, name: str) -> tuple[str, int]:
        """File and byte at which a tensor begins: a disk is read fastest in this order."""
        stored, first = self._first(name)
        begin = self.gguf.tensor(stored).begin + first * self.row_bytes(name)
        return self.gguf.places[stored].path.name, begin

    def will_need(self, name: str, offset: int, size: int) -> None:
        """Let the system start reading `size` stored bytes of a tensor from the disk."""
        stored, first = self._first(name)
        self.gguf.places[stored].will_need(stored, first * self.row_bytes(name) + offset, size)

    def array(self, name: str) -> NDArray[Any]:
        """The whole tensor: a read-only view of the file where its values lie there as such, else read."""
        place = self._places[name]
        if len(place.stored) == 1 and self.kind(name) != "Q8_0":
            raw = self.gguf.places[place.stored[0]].raw(place.stored[0])
            whole = np.frombuffer(raw, self.dtype(name)).reshape(place.stored_shape)
            return whole[place.first : place.first + place.shape[0]]
        out = np.empty(place.shape, self.dtype(name))
        self.read_into(name, out)
        return out

    def read_into(self, name: str, out: NDArray[Any], first: int = 0) -> None:
        """Fill contiguous `out` (n, ...) with the values of rows `first` to `first + n`.

        `out` has `dtype(name)` and a tensor's row. Raises CheckpointError where the disk fails.
        """
        place = self._places[name]
        assert out.dtype == self.dtype(name), f"{name} is {self.dtype(name)}, read into {out.dtype}"
        assert first + len(out) <= place.shape[0], f"{name} has {place.shape[0]} rows"
        if len(place.stored) == 1:
            self._read_values(place.stored[0], out, place.first + first)
            return
        part = np.empty((len(out), *place.stored_shape[1:]), out.dtype)
        for i, stored in enumerate(place.stored):
            self._read_values(stored, part, first)
            out[:, i :: len(place.stored)] = part

    def read_mxfp4(
        self, name: str, expert: int, blocks: NDArray[np.uint8], scales: NDArray[np.uint8]
    ) -> None:
        """One expert of the stored tensor `name`, as published: blocks (N, K/32, 16), scales (N, K/32).

        The arrays' rows may lie apart. Raises CheckpointError where the disk fails.
        """
        tensor = self.gguf.tensor(name)
        row = 17 * scales.shape[1]
        piece = np.empty((max(1, _PIECE_BYTES // row), row), np.uint8)
        for first in range(0, len(scales), len(piece)):
            part = slice(first, first + len(piece))
            raw = piece[: len(scales[part])]
            self.gguf.places[name].read_into(name, (expert * len(scales) + first) * row, raw.data)
            repack_mxfp4(raw, blocks[part], scales[part], published=tensor.kind == "MXFP4-HF")

    def read_q8(
        self, name: str, codes: NDArray[np.int8], scales: NDArray[np.float32], first: int = 0
    ) -> None:
        """Rows `first` to `first + n` of a Q8_0 matrix as they are: codes (n, K), scales (n, K/32).

        Raises CheckpointError where the disk fails, or for what no quantiser writes: a code of −128, or a
        scale that is inf or NaN.
        """
        stored, before = self._first(name)
        row = self.row_bytes(name)
        piece = np.empty((max(1, _PIECE_BYTES // row), row), np.uint8)
        for at in range(0, len(codes), len(piece)):
            raw = piece[: len(codes) - at]
            self.gguf.places[stored].read_into(stored, (before + first + at) * row, raw.data)
            if not unpack_q8_0(raw, codes[at : at + len(raw)], scales[at : at + len(raw)]):
                raise _mismatch(self.path, f"{stored} holds inf, NaN or a code of -128: it is damaged", name)

    def read_bf16(self, name: str, out: NDArray[np.uint16], first: int = 0) -> None:
        """Rows `first` to `first + n` of a Q8_0, F16 or F32 matrix as bf16's bits (n, K), to nearest even.

        Raises CheckpointError where the disk fails, or a value is inf or NaN.
        """
        stored, before = self._first(name)
        step = max(1, _ROUNDED // out.shape[1])
        for at in range(0, len(out), step):
            rows = out[at : at + step]
            values = np.empty(rows.shape, self.dtype(name))
            self._read_values(stored, values, before + first + at)
            if not round_to_bf16(values.astype(np.float32, copy=False), rows):
                raise _mismatch(self.path, f"{stored} holds inf or NaN: it is damaged", name)

    def _read_values(self, stored: str, out: NDArray[Any], first: int) -> None:
        """Rows of one stored tensor, as values."""
        file, row = self.gguf.places[stored], _row_bytes(self.gguf.tensor(stored))
        if self.gguf.tensor(stored).kind != "Q8_0":
            file.read_into(stored, first * row, out.data)
            return
        raw = np.empty((len(out), row), np.uint8)
        file.read_into(stored, first * row, raw.data)
        out[...] = q8_0_to_float(raw).reshape(out.shape)

    def _first(self, name: str) -> tuple[str, int]:
        """The stored tensor in which ours begins, and the row."""
        place = self._places.get(name)
        return (place.stored[0], place.first) if place else (name, 0)

    def _tensor(self, name: str) -> GgufTensor:
        return self.gguf.tensor(self._first(name)[0])


def open_gguf_checkpoint(path: Path, config: ModelConfig | None = None) -> GgufCheckpoint:
    """Open and check a GGUF file, or the parts it was split into; `config` is its metadata's if not given.

    Raises CheckpointError (damaged, truncated, tensors missing, unused, of another shape or type) and
    ConfigError.
    """
    gguf = open_gguf(path)
    return GgufCheckpoint(gguf, config or gguf_config(gguf))


def _row_bytes(tensor: GgufTensor) -> int:
    kind = _BYTES[tensor.kind]
    return math.prod(tensor.shape[1:]) * kind.size_bytes // kind.elements


def _check(gguf: Gguf, places: dict[str, GgufPlace]) -> None:
    needed = {stored for place in places.values() for stored in place.stored}
    missing, unused = sorted(needed - gguf.places.keys()), sorted(gguf.places.keys() - needed)
    if missing or unused:
        parts = [f"{len(names)} tensors are {what}: {', '.join(names[:_SHOWN])}"
                 for what, names in (("missing", missing), ("not gpt-oss's", unused)) if names]  # fmt: skip
        raise _mismatch(gguf.path, "; ".join(parts), (tuple(missing), tuple(unused)), "gpt-oss's tensors")
    for place in places.values():
        for stored in place.stored:
            _check_tensor(gguf.path, gguf.tensor(stored), place)
        if len(kinds := {gguf.tensor(stored).kind for stored in place.stored}) > 1:
            why = f"{' and '.join(place.stored)} are of different types: {', '.join(sorted(kinds))}"
            raise _mismatch(gguf.path, why, sorted(kinds), "one type")


def _check_tensor(path: Path, tensor: GgufTensor, place: GgufPlace) -> None:
    if tensor.shape != place.stored_shape:
        why = f"{tensor.name} has shape {list(tensor.shape)}, not {list(place.stored_shape)}"
        raise _mismatch(path, why, tensor.shape, place.stored_shape)
    if tensor.kind not in place.kinds:
        raise CheckpointError(
            f"{path.name}: {tensor.name} is stored as {tensor.kind}, not {' or '.join(place.kinds)}",
            value=tensor.kind, limit=place.kinds,
            remedy=f"Use a GGUF file of types {_LOADED} only, as ggml-org and Ollama publish gpt-oss.",
        )  # fmt: skip


def _mismatch(where: Path, why: str, value: object, limit: object = None) -> CheckpointError:
    return CheckpointError(
        f"{where.name}: {why}", value=value, limit=limit,
        remedy="Fetch the model again with the program it came from.",
    )  # fmt: skip
