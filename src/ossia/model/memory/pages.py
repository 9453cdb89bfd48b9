"""Pages of mapped files: which array lies in them, and letting them go.

Pages let go of stay in the system's cache; they only stop counting as this process's memory.
"""

import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray


class MappedRows:
    """A mapped array of which a few rows are looked up now and then.

    The system maps 16 pages where one is touched, and what is mapped counts as ours: after some hundred
    tokens 64 KiB for each, until they are let go of. An array that is not mapped is left alone.
    """

    _EVERY = 256  # rows: 16 MiB at most

    def __init__(self, array: NDArray[Any]) -> None:
        self._file = _mapping(array)
        self._touched = 0
        if self._file is None or not hasattr(mmap, "MADV_DONTNEED"):
            self._file = None
            return
        address = np.frombuffer(self._file, np.uint8).ctypes.data
        begin = array.ctypes.data - address
        self._begin = begin // mmap.PAGESIZE * mmap.PAGESIZE
        self._size = begin + array.nbytes - self._begin
        self._file.madvise(mmap.MADV_RANDOM, self._begin, self._size)  # no reading of neighbours

    def touched(self, rows: int) -> None:
        """Note that so many rows were looked up; lets the pages go once they are many."""
        self._touched += rows
        if self._file is not None and self._touched >= self._EVERY:
            self._file.madvise(mmap.MADV_DONTNEED, self._begin, self._size)
            self._touched = 0


def _mapping(array: NDArray[Any]) -> mmap.mmap | None:
    """The read-only mapping an array is a view of, or None."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, memoryview):
        base = base.obj
    return base if isinstance(base, mmap.mmap) and not array.flags.writeable else None
