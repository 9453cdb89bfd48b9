"""API keys: a file of hashes, each with a name and what it allows.

The keys themselves are shown once and kept nowhere.
"""

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from filelock import FileLock

from ossia.errors import InputError, NotFoundError, SettingsError, UnauthorizedError
from ossia.hub.cache import write_atomic
from ossia.settings import Settings

_VERSION = 1
_PREFIX = "ossia-"
_MOST_NAME = 64
ENVIRONMENT = "environment"  # the owner of what OSSIA_API_KEY stores


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `id` owns what is stored with it; `sees_reasoning`: whether the raw chain of thought is shown;
    `at_once`: how many of its requests may be under way; `created` in seconds since 1970."""

    id: str
    name: str
    sha256: str
    created: int
    sees_reasoning: bool = True
    at_once: int | None = None


def keys_path(settings: Settings) -> Path:
    """Where keys are kept unless another file is named."""
    return settings.config_dir / "keys.json"


def create(path: Path, name: str, *, sees_reasoning: bool = True, at_once: int | None = None) -> str:
    """Add a key to the file and return it: the only time it is seen. Raises InputError for a name that is
    taken or unusable."""
    if not 0 < len(name) <= _MOST_NAME or not name.isprintable():
        limit = f"1 to {_MOST_NAME} printable characters"
        raise InputError("a key's name cannot be that", value=name, limit=limit, remedy="Choose another.")
    secret = _PREFIX + secrets.token_urlsafe(32)
    with _locked(path):
        keys = read(path)
        if any(key.name == name for key in keys):
            raise InputError(
                f"there is a key named {name!r}",
                value=name,
                remedy="Choose another name, or revoke the key first.",
            )
        made = Key(
            f"key_{secrets.token_hex(8)}", name, _hash(secret), int(time.time()), sees_reasoning, at_once
        )
        _write(path, [*keys, made])
    return secret


def revoke(path: Path, name: str) -> Key:
    """Remove the key of that name or id; a running server refuses it from then on. Raises NotFoundError."""
    with _locked(path):
        keys = read(path)
        gone = [key for key in keys if name in (key.name, key.id)]
        if not gone:
            raise NotFoundError(
                f"there is no key named {name!r}",
                value=name,
                limit=[key.name for key in keys],
                remedy="See: ossia keys list",
            )
        _write(path, [key for key in keys if key not in gone])
    return gone[0]


def read(path: Path) -> list[Key]:
    """The keys of the file, none where there is no file; raises SettingsError for one that is malformed or
    that others may read."""
    try:
        status = path.stat()
        value: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise _unusable(path, str(error)) from error
    if os.name == "posix" and status.st_mode & 0o077:
        raise SettingsError(
            f"the file of keys {path} may be read by others",
            value=f"{status.st_mode & 0o777:o}",
            limit="600",
            remedy=f"Run: chmod 600 {path}",
        )
    return _parse(value, path)


class KeyRing:
    """The keys a server accepts: a file's, read again when it changes, and `single`, one from the
    environment. Where there was a key once, one is needed from then on: revoking the last opens nothing.

    Raises SettingsError for a file that cannot be used; one that becomes so later lets nobody in.
    """

    def __init__(self, path: Path, single: str | None = None) -> None:
        self._path = path
        self._single = [] if single is None else [Key(ENVIRONMENT, ENVIRONMENT, _hash(single), 0)]
        self._seen: tuple[int, int, int] | None = _state(path)
        self._keys: Sequence[Key] = read(path)
        self._needed = bool(self._single)

    @property
    def needed(self) -> bool:
        """Whether a key has to be shown."""
        self._refresh()
        self._needed = self._needed or bool(self._keys)
        return self._needed

    def check(self, secret: str | None) -> Key:
        """The key that `secret` is; raises UnauthorizedError for none and for a wrong one."""
        self._refresh()
        if not secret:
            raise UnauthorizedError(
                "an API key is needed", remedy='Send it in the header "Authorization: Bearer KEY".'
            )
        given, found = _hash(secret), None
        for key in (*self._keys, *self._single):  # all of them, whichever it is
            if hmac.compare_digest(key.sha256, given):
                found = key
        if found is None:
            raise UnauthorizedError(
                "the API key is not known here", remedy="Create one with: ossia keys create NAME"
            )
        return found

    def _refresh(self) -> None:
        now = _state(self._path)
        if now == self._seen:
            return
        self._needed, self._seen = self._needed or bool(self._keys), now
        try:
            self._keys = read(self._path)
        except SettingsError:
            self._keys, self._needed = (), True


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _hash(secret: str) -> str:
    """Keys are 256 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(value: Any, path: Path) -> list[Key]:
    known = {field.name for field in fields(Key)}
    try:
        if value["version"] != _VERSION:
            raise _unusable(path, f"it is of version {value['version']}, this Ossia knows {_VERSION}")
        entries = cast(list[dict[str, Any]], value["keys"])
        return [Key(**{name: entry[name] for name in entry if name in known}) for entry in entries]
    except (TypeError, KeyError, AttributeError) as error:
        raise _unusable(path, repr(error)) from error


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(
        f"the file of keys {path} cannot be used: {why}",
        value=str(path),
        remedy="Repair it, or remove it and create the keys again.",
    )


def _locked(path: Path) -> FileLock:
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_suffix(".lock"))


def _write(path: Path, keys: Sequence[Key]) -> None:
    text = json.dumps({"version": _VERSION, "keys": [asdict(key) for key in keys]}, indent=1)
    write_atomic(path, text.encode() + b"\n", mode=0o600)
