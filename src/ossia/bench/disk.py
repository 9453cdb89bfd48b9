"""The disk's sequential rate, read past the page cache so that nothing there counts or is lost."""

import mmap
import os
import time
from pathlib import Path

_BLOCK = 8 << 20


def sequential_read(path: Path, most_bytes: int = 1 << 30) -> float | None:
    """Bytes per second of reading the beginning of `path` from its disk; None where that cannot be told.

    It cannot for a file of less than a block of 8 MiB, nor where the file system has no direct reading.
    """
    blocks = min(path.stat().st_size, most_bytes) // _BLOCK
    if not blocks or not hasattr(os, "O_DIRECT"):
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return None
    try:
        with mmap.mmap(-1, _BLOCK) as buffer:
            started = time.perf_counter()
            read = sum(os.preadv(handle, [buffer], i * _BLOCK) for i in range(blocks))
            return read / (time.perf_counter() - started)
    except OSError:
        return None
    finally:
        os.close(handle)
