"""Opening a store: for its user alone; an older one is copied first, a newer or foreign one left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ossia.errors import SettingsError
from ossia.server.store import Store
from ossia.server.store.database import connect
from ossia.server.store.migrations import MIGRATIONS, backup_path, prepare

NEXT = (*MIGRATIONS, ("ALTER TABLE responses ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0",))


def contents(path: Path) -> dict[str, bytes]:
    """Files and their bytes, without those that SQLite makes to read with: -shm, and an empty -wal."""
    found = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    return {name: data for name, data in found.items() if name == "ossia.db" or (data and "-shm" not in name)}


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def test_files_are_for_their_user_alone(in_store, path, response) -> None:
    async def modes(store):
        await store.put_response(response())
        return {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}

    assert in_store(modes) == {"ossia.db": 0o600, "ossia.db-wal": 0o600, "ossia.db-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_every_commit_reaches_the_disk(path) -> None:
    prepare(path)
    with closing(connect(path)) as db:
        said = [
            db.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert said == ["wal", 2, 1]


def test_a_newer_store_is_refused_and_not_touched(path) -> None:
    prepare(path, NEXT)
    before = contents(path)
    with pytest.raises(SettingsError, match=f"version {len(NEXT)}.*up to {len(MIGRATIONS)}") as raised:
        Store.open(path)
    assert (raised.value.value, raised.value.limit) == (len(NEXT), len(MIGRATIONS))
    assert "Update Ossia" in raised.value.remedy
    assert contents(path) == before


def test_a_newer_store_whose_log_was_left_behind_is_not_touched_either(path, tmp_path) -> None:
    prepare(path)
    with closing(connect(path)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute("ALTER TABLE responses ADD COLUMN pinned INTEGER")
        db.execute(f"PRAGMA user_version={len(NEXT)}")
        # As after kill -9: the log holds what the file does not.
        other = tmp_path / "copy" / "ossia.db"
        other.parent.mkdir()
        for file in path.parent.glob("*"):
            if not file.name.endswith("-shm"):
                (other.parent / file.name).write_bytes(file.read_bytes())
    before = contents(other)
    assert before["ossia.db-wal"]
    with pytest.raises(SettingsError, match=f"version {len(NEXT)}"):
        Store.open(other)
    assert contents(other) == before


def test_an_older_store_is_copied_and_then_migrated(in_store, path, response) -> None:
    in_store(lambda store: store.put_response(response()))
    prepare(path, NEXT)
    assert version(path) == len(NEXT)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT id, pinned FROM responses").fetchall() == [("resp_1", 0)]
    backup = backup_path(path, len(MIGRATIONS))
    assert backup.stat().st_mode & 0o777 == 0o600
    assert version(backup) == len(MIGRATIONS)
    with closing(sqlite3.connect(backup)) as db:
        assert db.execute("SELECT id FROM responses").fetchall() == [("resp_1",)]
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert {file.name for file in path.parent.iterdir()} == {"ossia.db", backup.name}


def test_a_step_that_fails_leaves_the_store_as_it_was(in_store, path, response) -> None:
    in_store(lambda store: store.put_response(response()))
    broken = (*NEXT, ("CREATE TABLE more (x)", "CREATE TABLE responses (x)"))
    with pytest.raises(sqlite3.OperationalError):
        prepare(path, broken)
    assert version(path) == len(MIGRATIONS)
    assert in_store(lambda store: store.get_response("", "resp_1")) == response()


def test_opening_twice_changes_nothing(in_store, path, response) -> None:
    in_store(lambda store: store.put_response(response()))
    before = contents(path)
    prepare(path)
    assert contents(path) == before


@pytest.mark.parametrize("junk", [b"not a database, but long enough for a header" * 100, b"short"])
def test_a_file_that_is_no_database_is_refused_and_not_touched(path, junk) -> None:
    path.parent.mkdir()
    path.write_bytes(junk)
    with pytest.raises(SettingsError, match="damaged, or not a store"):
        Store.open(path)
    assert contents(path) == {"ossia.db": junk}


def test_another_program_s_database_is_refused_and_not_touched(path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
    before = contents(path)
    with pytest.raises(SettingsError, match="another program"):
        Store.open(path)
    assert contents(path) == before


def test_a_folder_in_its_place_is_refused(path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(SettingsError, match="cannot be opened"):
        Store.open(path)
