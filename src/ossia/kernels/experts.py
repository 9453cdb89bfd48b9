"""Experts that are not all in memory: the native cache (csrc/experts.h), its files and its counters.

`ops.moe` takes a cache and has what is missing read while it multiplies what is there. Does not know a
checkpoint: whoever makes a cache says where in which file each layer's experts lie.
"""

import mmap
import os
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ossia.kernels import _native

ExpertCache = _native.ExpertCache

PARTS = 4  # of an expert: gate_up's blocks and scales, down's blocks and scales
ENDED = -1  # an error beside the system's: the file is too short
_READERS = 8  # with half a MiB each under way a disk is kept busy
_DISK_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class ExpertCounts:
    """Since the start: experts that layers asked for, experts read from the disk for it, bytes of these."""

    asked: int
    read: int
    read_bytes: int

    @property
    def hit_rate(self) -> float:
        """The share that was in memory already; 1 where nothing was asked."""
        return 1 - self.read / self.asked if self.asked else 1.0


def slot_bytes(part_bytes: tuple[int, ...]) -> int:
    """Memory that one expert takes in a cache; `part_bytes` are those of its parts."""
    return ExpertCache.slot_bytes(part_bytes)


def make_cache(
    files: Iterable[Path],
    places: Iterable[Iterable[tuple[int, int]]],
    *,
    experts: int,
    slots: int,
    part_bytes: tuple[int, ...],
) -> ExpertCache:
    """A cache of `slots` experts, at least one layer's.

    `places`: for each layer and part the file's index and the byte at which the first expert's part begins;
    the others follow. Raises OSError where a file cannot be opened.
    """
    table = [list(layer) for layer in places]
    cache = ExpertCache(len(table), experts, slots, part_bytes, _READERS)
    for path in files:
        with closing(_Opened(path)) as file:
            cache.add_file(file.fd, file.direct)
    for layer, parts in enumerate(table):
        for part, (file, offset) in enumerate(parts):
            cache.place(layer, part, file, offset)
    return cache


def counts(cache: ExpertCache) -> ExpertCounts:
    """What a cache was asked for and has read, until now."""
    return ExpertCounts(*cache.counts())


class _Opened:
    """A file to read past the page cache, or where that cannot be done as usual."""

    def __init__(self, path: Path) -> None:
        self.direct = True
        self.fd = _open_direct(path)
        if self.fd < 0:
            self.direct = False
            self.fd = os.open(path, os.O_RDONLY)

    def close(self) -> None:
        os.close(self.fd)


def _open_direct(path: Path) -> int:
    """A descriptor that has been seen to read directly by blocks of 4 KiB, or -1."""
    if not hasattr(os, "O_DIRECT"):
        return -1
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    except OSError:
        return -1
    try:
        with mmap.mmap(-1, _DISK_BLOCK) as block:
            os.preadv(fd, [block], 0)
    except OSError:
        os.close(fd)
        return -1
    return fd
