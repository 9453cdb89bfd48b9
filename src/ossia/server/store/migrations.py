"""The store's tables, as numbered steps; a file remembers in `user_version` how many it has had.

A newer file is refused before anything is written. An older one is copied first. Whoever changes a table
adds a step at the end: those that were released stay as they are.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from ossia.errors import SettingsError
from ossia.hub.cache import sync_folder
from ossia.server.store.database import APPLICATION, connect, connect_reader, create_file, transaction

Step = tuple[str, ...]


def _searchable(table: str) -> Step:
    """Full text of a table's `text`. Trigrams: Korean and Chinese are found without knowing their words."""
    added = f"INSERT INTO {table}_said (rowid, text) VALUES (new.key, new.text);"
    removed = f"INSERT INTO {table}_said ({table}_said, rowid, text) VALUES ('delete', old.key, old.text);"
    return (
        f"CREATE VIRTUAL TABLE {table}_said USING fts5"
        f" (text, content='{table}', content_rowid='key', tokenize='trigram')",
        f"CREATE TRIGGER {table}_add AFTER INSERT ON {table} BEGIN {added} END",
        f"CREATE TRIGGER {table}_remove AFTER DELETE ON {table} BEGIN {removed} END",
        f"CREATE TRIGGER {table}_change AFTER UPDATE ON {table} BEGIN {removed} {added} END",
    )


MIGRATIONS: tuple[Step, ...] = (
    (
        """CREATE TABLE responses (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT NOT NULL, id TEXT NOT NULL, created_at INTEGER NOT NULL, status TEXT NOT NULL,
            previous_id TEXT, conversation_id TEXT,
            body TEXT NOT NULL, input_items TEXT NOT NULL, messages TEXT NOT NULL, text TEXT NOT NULL,
            harmony TEXT NOT NULL,
            UNIQUE (owner, id))""",
        """CREATE TABLE conversations (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT NOT NULL, id TEXT NOT NULL, created_at INTEGER NOT NULL, metadata TEXT NOT NULL,
            UNIQUE (owner, id))""",
        """CREATE TABLE items (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            owner TEXT NOT NULL, conversation_id TEXT NOT NULL, id TEXT NOT NULL,
            created_at INTEGER NOT NULL DEFAULT (CAST(strftime('%s', 'now') AS INTEGER)),
            item TEXT NOT NULL, messages TEXT NOT NULL, text TEXT NOT NULL,
            UNIQUE (owner, conversation_id, id),
            FOREIGN KEY (owner, conversation_id) REFERENCES conversations (owner, id) ON DELETE CASCADE)""",
        *_searchable("responses"),
        *_searchable("items"),
    ),
)


def prepare(path: Path, steps: Sequence[Step] = MIGRATIONS) -> None:
    """Make the store at `path`, or bring it up to date, after copying it to ``ossia.db.vN.backup``.

    Raises SettingsError for a file that is newer than this program, or not a store; it is left as it is.
    """
    create_file(path)
    version = _version(path, len(steps))
    if version == len(steps):
        return
    if version:
        _copy(path, backup_path(path, version))
    with closing(connect(path)) as db:
        _migrate(db, steps)
        # From here on the file itself says its version, not only the log beside it.
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def backup_path(path: Path, version: int) -> Path:
    """Where the copy of a store goes before it is changed from `version`."""
    return path.with_name(f"{path.name}.v{version}.backup")


def _version(path: Path, newest: int) -> int:
    with closing(connect_reader(path)) as db:
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        application: int = db.execute("PRAGMA application_id").fetchone()[0]
        tables: int = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION:
        raise SettingsError(
            f"{path} is a database of another program",
            value=str(path),
            remedy="Move it away; a store is made in its place.",
        )
    if version > newest:
        raise SettingsError(
            f"the store at {path} has version {version}; this Ossia knows up to {newest}",
            value=version,
            limit=newest,
            remedy="Update Ossia, or move the file away: a new store is made. Nothing was changed.",
        )
    return version


def _copy(path: Path, backup: Path) -> None:
    temporary = backup.with_suffix(".tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    create_file(temporary)
    with closing(connect_reader(path)) as source, closing(sqlite3.connect(temporary)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")  # one file, whole in itself
    os.replace(temporary, backup)
    sync_folder(backup.parent)


def _migrate(db: sqlite3.Connection, steps: Sequence[Step]) -> None:
    with transaction(db):
        # Another process may have been first: what counts is what is there now.
        version: int = db.execute("PRAGMA user_version").fetchone()[0]
        for step in steps[version:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA application_id={APPLICATION}")
        db.execute(f"PRAGMA user_version={max(version, len(steps))}")
