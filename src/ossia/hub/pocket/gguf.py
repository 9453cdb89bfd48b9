"""Reads the pocket base, a GGUF file: its metadata whole, and its tensors as float32.

Of tensor types only what that one file needs: F32, Q8_0 and Q4_1.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.model.gguf.blocks import q4_1_to_float, q8_0_to_float
from ossia.model.gguf.container import Gguf, GgufArray, GgufTensor, open_gguf

_KINDS = ("F32", "Q4_1", "Q8_0")


class GgufFile:
    """An open GGUF file: `metadata` by key, `tensor(name)` dequantised; the data stays memory-mapped."""

    def __init__(self, gguf: Gguf) -> None:
        self._gguf = gguf
        self.metadata: dict[str, Any] = {
            key: gguf.values(key) if isinstance(value, GgufArray) else value
            for key, value in gguf.metadata.items()
        }

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._gguf.places)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._entry(name).shape

    def tensor(self, name: str) -> NDArray[np.float32]:
        """The tensor as float32, rows first; raises CheckpointError when the file does not have it."""
        entry = self._entry(name)
        raw = np.frombuffer(self._gguf.places[name].raw(name), np.uint8)
        if entry.kind == "F32":
            return raw.view(np.float32).reshape(entry.shape).copy()
        return (q8_0_to_float(raw) if entry.kind == "Q8_0" else q4_1_to_float(raw)).reshape(entry.shape)

    def _entry(self, name: str) -> GgufTensor:
        if name not in self._gguf.places:
            raise CheckpointError(
                f"the base has no tensor {name}", value=name, remedy="Fetch the base again."
            )
        return self._gguf.tensor(name)


def read_gguf(path: Path) -> GgufFile:
    """Open the GGUF file at `path`.

    Raises CheckpointError when it is missing, no GGUF, cut short, or holds a tensor type other than F32,
    Q8_0 and Q4_1.
    """
    gguf = open_gguf(path)
    for name in gguf.places:
        if (kind := gguf.tensor(name).kind) not in _KINDS:
            raise CheckpointError(
                f"{path.name}: tensor {name} is of a type pocket does not use: {kind}",
                value=kind, limit=_KINDS, remedy="Fetch the base again.",
            )  # fmt: skip
    return GgufFile(gguf)
