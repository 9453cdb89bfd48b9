"""What this machine gives at most, with the kernels' own threads: the ceilings a benchmark compares with.

Knows no model: bytes and operations per token are somebody else's business.
"""

import mmap
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import _native, cpu
from ossia.settings import Numerics


@dataclass(frozen=True, slots=True)
class Peak:
    """Operations per second (a multiplication and an addition are two) of one instruction, by name."""

    ops_s: float
    instruction: str


def reading_buffer(size_bytes: int) -> NDArray[np.uint8]:
    """Written memory for `read_bandwidth`; make it many times the caches. It is freed with the array."""
    memory = mmap.mmap(-1, size_bytes)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    buffer = np.frombuffer(memory, np.uint8)
    buffer[:] = 1  # a page that was never written is the one page of zeros, and read from the cache
    return buffer


def read_bandwidth(buffer: NDArray[np.uint8]) -> float:
    """Bytes per second at which the kernels' threads together read `buffer` (uint8, one dimension), once."""
    cpu.current()
    return buffer.size / _native.probe_read(buffer)


def peak_ops(numerics: Numerics, seconds: float = 0.1) -> Peak:
    """What the kernels' threads together reach with the instruction that matrix products under `numerics`
    use in the configured instruction set; runs for about `seconds`.

    q8 multiplies bytes; bf16 and f32 both multiply float32 (see csrc/ops.h).
    """
    cpu.current()
    return Peak(*_native.probe_peak(numerics == "q8", seconds))
