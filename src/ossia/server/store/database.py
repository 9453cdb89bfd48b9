"""The SQLite file: where it is, how it is opened, and what its errors mean to a user.

It knows files and connections, no table.
"""

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from ossia.errors import DiskSpaceError, OssiaError, ResourceError, SettingsError
from ossia.settings import Settings

APPLICATION = 0x4F535349  # "OSSI": whose file this is, in SQLite's application_id
_BUSY_S = 20.0  # another process may be importing
_UNUSABLE = {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
_CLOSED = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}


def store_path(settings: Settings) -> Path:
    """Where the server's store is."""
    return settings.data_dir / "server" / "ossia.db"


def create_file(path: Path) -> None:
    """Make an empty file for this user only, in a folder for this user only, where there is none.

    Raises SettingsError where that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise _closed(path, f": {error.strerror}") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes, in autocommit: a commit is on the disk when it returns."""
    db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    # Pages are 4 kB and SQLite gives the -wal and -shm files the mode of the file itself.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "fullfsync=ON", "foreign_keys=ON"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("PRAGMA secure_delete=ON")  # what is deleted is also overwritten
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot change the file."""
    address = f"file:{quote(str(path))}?mode=ro"
    db = sqlite3.connect(address, timeout=_BUSY_S, isolation_level=None, check_same_thread=False, uri=True)
    db.row_factory = sqlite3.Row
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """All that is written inside is committed when it ends, or none of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite ends it itself when the disk is full
            db.execute("ROLLBACK")
        raise


@contextmanager
def typed_errors(path: Path) -> Generator[None]:
    """Turn SQLite's errors into those a user can act on."""
    try:
        yield
    except sqlite3.Error as error:
        raise typed(error, path) from error


def typed(error: sqlite3.Error, path: Path) -> OssiaError | sqlite3.Error:
    """The OssiaError that `error` is, or `error` itself where it is a fault of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _UNUSABLE:
        return SettingsError(
            f"{path} is damaged, or not a store",
            value=str(path),
            remedy="Move it away (a new one is made), and import your last export into the new one.",
        )
    if code in _CLOSED:
        return _closed(path)
    if code == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR:
        return DiskSpaceError(
            f"the disk that holds {path} is full or fails", value=str(path), remedy="Free some space on it."
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ResourceError(
            f"another process is writing to the store at {path}",
            value=str(path),
            limit=f"{_BUSY_S:.0f} s of waiting",
            remedy="Wait until it has ended, and try again.",
        )
    return error


def _closed(path: Path, why: str = "") -> SettingsError:
    return SettingsError(
        f"the store at {path} cannot be opened or written{why}",
        value=str(path),
        remedy="Make the file and its folder readable and writable for you, or serve with --no-store.",
    )
