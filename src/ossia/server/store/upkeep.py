"""What a user does to the file itself: look into it, count what is there, empty it."""

from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from sqlite3 import Connection

from ossia.server.store.database import connect, connect_reader, transaction, typed_errors
from ossia.server.store.migrations import prepare

_TABLES = ("responses", "items", "conversations")


@contextmanager
def reading(path: Path) -> Generator[Connection | None]:
    """A connection that cannot change the store; None where there is no store, and none is made."""
    if not path.exists():
        yield None
        return
    with typed_errors(path):
        prepare(path)
        with closing(connect_reader(path)) as db:
            yield db


def counts(db: Connection) -> Mapping[str, int]:
    """How many responses, conversations and items there are."""
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _TABLES}


def files_of(path: Path) -> list[Path]:
    """The store's files: itself, SQLite's log beside it, copies made before it was changed."""
    return sorted(file for file in path.parent.glob(f"{path.name}*") if file.is_file())


def clear(path: Path) -> Mapping[str, int]:
    """Delete everything in the store, and the copies of older versions; returns how much there was.

    Also while a server has it open. The file is written anew, so that nothing can be read out of it.
    """
    with typed_errors(path):
        prepare(path)
        with closing(connect(path)) as db:
            with transaction(db):
                before = counts(db)
                for table in _TABLES:
                    db.execute(f"DELETE FROM {table}")
                for table in _TABLES[:2]:
                    db.execute(f"INSERT INTO {table}_said ({table}_said) VALUES ('rebuild')")
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for backup in path.parent.glob(f"{path.name}.v*.backup"):
        backup.unlink()
    return before
