"""Is a model what it should be: its tensors' names, shapes and types, and its files' hashes.

Hashes come from where the files came from: Ossia's own models carry a stamp (`ossia.json`, written when
they were made), the Hugging Face cache and Ollama name each blob after its hash.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ossia.errors import CheckpointError, HashMismatchError
from ossia.hub.cache import digest_of, size_of, write_atomic
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import FoundModel, require_loadable
from ossia.model.checkpoint import open_checkpoint
from ossia.model.gguf.container import parts_of

STAMP = "ossia.json"
_DIGEST = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{40})$")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What made a model and what it wrote: `files` maps names to SHA-256."""

    version: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` looked at: tensors checked, files whose hash was right, files no hash is known for."""

    tensors: int
    hashed: tuple[str, ...]
    unhashed: tuple[str, ...]


def verify(model: FoundModel, *, progress: Progress = silent) -> Verification:
    """Check every tensor's name, shape and type against the config, and every file whose hash is known.

    Raises CheckpointError, ConfigError or HashMismatchError for the first thing that is wrong.
    """
    require_loadable(model)
    if model.format == "gguf":
        hashed, unhashed = _check_parts(model, progress)
    else:
        hashed, unhashed = check_hashes(model.path, name=model.name, progress=progress)
    return Verification(len(open_checkpoint(model.path).names), hashed, unhashed)


def check_hashes(
    folder: Path, *, name: str = "pocket", progress: Progress = silent
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Compare the files of `folder` with the hashes known for them; returns (right ones, unknown ones).

    Progress counts bytes over all files. Raises CheckpointError for a stamped file that is gone,
    HashMismatchError for one whose hash differs.
    """
    expected = _expected(folder)
    if absent := [file for file in expected if not (folder / file).is_file()]:
        raise CheckpointError(
            f"{name} lacks {absent[0]}",
            value=absent,
            limit=sorted(expected),
            remedy=f"Run: ossia pull {name}",
        )
    _check_digests({folder / file: digest for file, digest in expected.items()}, name, progress)
    others = (path.name for path in folder.iterdir() if path.is_file() and path.name not in expected)
    return tuple(expected), tuple(sorted(file for file in others if file != STAMP))


def _check_parts(model: FoundModel, progress: Progress) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The same for a GGUF model's files, where their names, or those of what they link to, end in a hash."""
    parts = parts_of(model.path)
    named = {part: _DIGEST.search(part.resolve().name) for part in parts}
    _check_digests({part: found[0] for part, found in named.items() if found}, model.name, progress)
    known = tuple(part.name for part in parts if named[part])
    return known, tuple(part.name for part in parts if not named[part])


def _check_digests(expected: dict[Path, str], name: str, progress: Progress) -> None:
    """Compare files with their hashes; progress counts bytes over all. Raises HashMismatchError."""
    total, before, what = sum(size_of(file) for file in expected), 0, f"checking {name}"
    for file, digest in expected.items():
        start = before
        actual = digest_of(
            file,
            digest,
            progress=lambda _, done, __, start=start: progress(what, start + done, total),
        )
        if actual != digest:
            raise HashMismatchError(
                f"{file.name} of {name} is not the file it should be: its hash is {actual}",
                value=actual,
                limit=digest,
                remedy=f"Run: ossia pull {name}",
            )
        before += size_of(file)


def write_stamp(folder: Path, version: str) -> None:
    """Write `ossia.json`: `version` and the SHA-256 of every file of `folder` as it is now."""
    hashes = {path.name: digest_of(path, "0" * 64) for path in sorted(folder.iterdir()) if path.name != STAMP}
    text = json.dumps({"version": version, "files": hashes}, indent=1)
    write_atomic(folder / STAMP, text.encode() + b"\n", mode=0o644)


def read_stamp(folder: Path) -> Stamp | None:
    """The folder's stamp; None when it has none that can be read."""
    try:
        value = json.loads((folder / STAMP).read_bytes())
        entries = cast(dict[str, Any], value["files"])
        return Stamp(str(value["version"]), {str(name): str(digest) for name, digest in entries.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _expected(folder: Path) -> dict[str, str]:
    """File name to hash, for the files of `folder` whose hash is known."""
    if stamp := read_stamp(folder):
        return stamp.files
    links = (path for path in sorted(folder.iterdir()) if path.is_symlink())
    named = {path.name: path.resolve().name for path in links}
    return {file: digest for file, digest in named.items() if _DIGEST.fullmatch(digest)}
