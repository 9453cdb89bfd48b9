"""Where Ossia keeps things, and how it writes them so that nothing half-written is ever found.

Files and folders are made beside their destination, flushed to the disk and renamed into place; a lock
per destination keeps two processes from making the same thing at once. Locks are released by the system
when a process dies, so what a crash leaves behind is recognised and swept by the next holder.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from tempfile import mkdtemp, mkstemp

from filelock import FileLock, Timeout

from ossia.errors import DiskSpaceError, OssiaError, ResourceError
from ossia.hub.progress import Progress, silent
from ossia.settings import Settings

DISK_MARGIN = 64 << 20  # bytes left free beside what is asked: logs, journals, other people's work
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXT = re.compile(r"os error (?:27|28|122)\b|No space left|File too large|Disk quota", re.IGNORECASE)


def models_dir(settings: Settings) -> Path:
    """The folder of models Ossia itself made: one folder per name."""
    return settings.data_dir / "models"


def hf_hub_dir(settings: Settings) -> Path:
    """The Hugging Face cache, shared with every other program that uses it."""
    return settings.hf_home / "hub"


def pocket_base_dir(settings: Settings) -> Path:
    """Where pocket's fetched base is kept, to be made into pocket again without a connection."""
    return settings.cache_dir / "pocket-base"


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files under a folder; a link counts as its target, a dangling one as 0."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def free_bytes(path: Path) -> int:
    """Bytes free to this user on the disk that holds `path` (or its nearest existing parent)."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def require_disk(path: Path, needed: int, what: str) -> None:
    """Raise DiskSpaceError when the disk of `path` lacks `needed` bytes (plus a margin) for `what`."""
    free = free_bytes(path)
    if needed and free < needed + DISK_MARGIN:
        raise DiskSpaceError(
            f"{what} needs {human(needed)} of disk, {human(free)} are free at {path}",
            value=needed,
            limit=free,
            remedy=f"Free {human(needed + DISK_MARGIN - free)} or set OSSIA_HOME (HF_HOME for pulled models) "
            "to a folder on a larger disk.",
        )


def human(size_bytes: int) -> str:
    """`size_bytes` in decimal units as disks are sold: 13.8 GB."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


@contextmanager
def full_disk_is_typed(path: Path, what: str) -> Generator[None]:
    """Turn "no space left" (ENOSPC, EDQUOT, EFBIG; also as text from native writers) into DiskSpaceError."""
    try:
        yield
    except OssiaError:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full and not _FULL_TEXT.search(str(error)):
            raise
        raise DiskSpaceError(
            f"the disk filled up while writing {what}; {human(free_bytes(path))} are free at {path}",
            value=str(path),
            limit=free_bytes(path),
            remedy="Free some space (or raise the file-size limit) and run the command again; "
            "nothing half-written was kept.",
        ) from error


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write `data` to `path` so that a reader finds the old file or the new one, never a part.

    Raises DiskSpaceError when the disk is full; the old file is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(prefix=_temp_prefix(path), suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with full_disk_is_typed(path.parent, path.name), os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def staged_folder(destination: Path) -> Generator[Path]:
    """Yield an empty folder that becomes `destination` when the block ends well, and is removed when not.

    The caller holds the lock of `destination`. An existing destination is replaced whole. Raises
    DiskSpaceError for a full disk.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    sweep(destination)
    staging = Path(mkdtemp(prefix=_temp_prefix(destination), suffix=".tmp", dir=destination.parent))
    try:
        with full_disk_is_typed(destination.parent, destination.name):
            yield staging
            staging.chmod(0o755)
            for file in staging.rglob("*"):
                if file.is_file():
                    _sync_file(file)
        _swap(staging, destination)
    finally:
        sweep(destination)
    sync_folder(destination.parent)


def sweep(destination: Path) -> int:
    """Remove what earlier, unfinished makings of `destination` left beside it; returns how many.

    Call it only while holding the lock of `destination`: a temporary in use looks the same.
    """
    stale = list(destination.parent.glob(f"{escape(_temp_prefix(destination))}*.tmp"))
    for path in stale:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(stale)


def _swap(staging: Path, destination: Path) -> None:
    if not destination.exists():
        staging.rename(destination)
        return
    retired = Path(mkdtemp(prefix=_temp_prefix(destination), suffix=".tmp", dir=destination.parent)) / "old"
    destination.rename(retired)
    try:
        staging.rename(destination)
    except OSError:
        retired.rename(destination)
        raise


def _temp_prefix(path: Path) -> str:
    return f".{path.name}."


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut (POSIX only)."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(path: Path, like: str, *, progress: Progress = silent) -> str:
    """The file's hash, hex, of the kind `like` is: 64 digits SHA-256, 40 git's SHA-1 of a blob."""
    size = path.stat().st_size
    state = hashlib.sha256() if len(like) == 64 else hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
            done += len(chunk)
            progress(path.name, done, size)
    return state.hexdigest()


@contextmanager
def locked(
    settings: Settings, name: str, *, progress: Progress = silent, timeout_s: float = -1.0
) -> Generator[None]:
    """Hold the lock called `name` among all processes of this user; waits, and says so through `progress`.

    Raises ResourceError when it is still taken after `timeout_s` seconds (negative: wait for ever).
    """
    path = settings.cache_dir / "locks" / f"{re.sub(r'[^A-Za-z0-9._-]', '--', name)}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress(f"waiting for another process that is getting {name}", 0, 0)
        _wait(lock, name, timeout_s)
    try:
        yield
    finally:
        lock.release()


def _wait(lock: FileLock, name: str, timeout_s: float) -> None:
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout as error:
        raise ResourceError(
            f"another process has been getting {name} for more than {timeout_s:.0f} s",
            value=name,
            limit=timeout_s,
            remedy="Let it finish, or end it, and run the command again.",
        ) from error
