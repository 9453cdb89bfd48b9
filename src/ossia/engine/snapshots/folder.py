"""The folder of snapshots: which files are there, and how it stays within its bytes.

    <root>/<fingerprint>/00000064-<key>.block    the full layers' K and V of tokens 0…63
                         00000128-<key>.block    those of tokens 64…127 behind them, and so on
                         00000128-<key>.window   the sliding layers', where some snapshot's window needs them
                         00000150-<key>.snap     a position to resume at: K and V of its incomplete block

A number is the tokens up to a file's end. A prefix uses all files of its chain; to use it is to set their
times anew, all alike, and the least recently used go first, the far end of a chain before its beginning. Any
number of processes may share the root: files come by renaming, and one that vanishes was never there.
"""

import os
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ossia.engine.snapshots.block_file import TEMPORARY

SNAPSHOT, FULL, WINDOW = ".snap", ".block", ".window"
_FREE_SHARE = 10  # of what the disk has free, at most a tenth is used
_ABANDONED_S = 600  # a temporary file this old was left by a process that died
_LOCK = "trim.lock"


def kept_files(root: Path) -> list[Path]:
    """Every file that snapshots of any model have under `root`, half-written ones too; nothing else there."""
    found: list[Path] = []
    with suppress(OSError):
        for folder in (entry for entry in root.iterdir() if entry.is_dir()):
            found += (f for f in folder.iterdir() if f.name.endswith((SNAPSHOT, FULL, WINDOW, TEMPORARY)))
    return found


def remove_all(root: Path) -> int:
    """Remove those files and the folders they leave empty, also while they are in use; returns the bytes."""
    removed = 0
    for file in kept_files(root):
        with suppress(OSError):
            size = file.stat().st_size
            file.unlink()
            removed += size
        with suppress(OSError):
            file.parent.rmdir()
    return removed


class SnapshotFolder:
    """Files of one model and arithmetic under `root`, which all models share within `size_bytes`."""

    def __init__(self, root: Path, fingerprint: str, size_bytes: int) -> None:
        self.path = root / fingerprint
        self._root = root
        self._size_bytes = size_bytes

    def create(self) -> None:
        """Make the folder, for its owner only; raises OSError."""
        for folder in (self._root, self.path):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def snapshots(self) -> dict[int, set[str]]:
        """Names of the snapshots there are now, by position."""
        found: dict[int, set[str]] = {}
        with suppress(OSError):
            for name in os.listdir(self.path):
                if name.endswith(SNAPSHOT) and name[:8].isdigit():
                    found.setdefault(int(name[:8]), set()).add(name)
        return found

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def touch(self, names: Iterable[str]) -> None:
        """Mark files as used now."""
        now = time.time_ns()
        for name in names:
            with suppress(OSError):
                os.utime(self.path / name, ns=(now, now))

    def discard(self, name: str) -> None:
        """Remove a file, if it is there and can be."""
        with suppress(OSError):
            (self.path / name).unlink(missing_ok=True)

    def trim(self) -> int:
        """Remove what is over the limit, of any model; returns how many files. Nothing while another process
        does the same. Raises OSError where the root cannot be read."""
        try:
            with FileLock(self._root / _LOCK, timeout=0, mode=0o600):
                return self._trim()
        except Timeout:
            return 0

    def _trim(self) -> int:
        files = self._files()
        used = sum(size for *_, size in files)
        limit = min(self._size_bytes, (shutil.disk_usage(self._root).free + used) // _FREE_SHARE)
        removed = 0
        for *_, path, size in sorted(files):
            if used <= limit:
                break
            with suppress(OSError):
                os.unlink(path)
                used -= size
                removed += 1
        return removed

    def _files(self) -> list[tuple[int, int, str, int]]:
        """(time of use, tokens from the far end, path, bytes) of all files, abandoned ones removed first."""
        files: list[tuple[int, int, str, int]] = []
        abandoned = time.time_ns() - _ABANDONED_S * 1_000_000_000
        for folder in self._root.iterdir():
            if not folder.is_dir():
                continue
            for entry in os.scandir(folder):
                with suppress(OSError):
                    state = entry.stat()
                    if entry.name.endswith(TEMPORARY) and state.st_mtime_ns < abandoned:
                        os.unlink(entry.path)
                    elif entry.name.endswith((SNAPSHOT, FULL, WINDOW)):
                        files.append((state.st_mtime_ns, -int(entry.name[:8]), entry.path, state.st_size))
        return files
