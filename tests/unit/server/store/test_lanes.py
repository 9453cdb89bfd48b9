"""The writer: each piece of work fails alone, a full disk and a busy file have errors of their own."""

import sqlite3
from contextlib import closing

import pytest

from ossia.errors import DiskSpaceError, ResourceError
from ossia.server.store.database import connect
from ossia.server.store.lanes import Lane


@pytest.fixture
def lane(path):
    path.parent.mkdir()
    lane = Lane(connect(path), path, writes=True)
    lane.submit(lambda db: db.execute("CREATE TABLE t (x)")).result()
    yield lane
    lane.close()


def insert(lane, value, times=1):
    return lane.submit(lambda db: db.executemany("INSERT INTO t VALUES (?)", [(value,)] * times).rowcount)


def stored(path) -> list:
    with closing(sqlite3.connect(path)) as db:
        return [x for (x,) in db.execute("SELECT x FROM t")]


def test_what_is_acknowledged_is_seen_by_others(lane, path) -> None:
    assert insert(lane, "a").result() == 1
    assert stored(path) == ["a"]


def test_work_that_fails_takes_back_its_own_alone(lane, path) -> None:
    def half(db):
        db.execute("INSERT INTO t VALUES ('half')")
        raise KeyError("gone wrong")

    before, failing, after = insert(lane, "a"), lane.submit(half), insert(lane, "b")
    with pytest.raises(KeyError, match="gone wrong"):
        failing.result()
    assert (before.result(), after.result()) == (1, 1)
    assert stored(path) == ["a", "b"]


def test_a_full_disk_is_said_and_the_writer_goes_on(lane, path) -> None:
    lane.submit(lambda db: db.execute("PRAGMA max_page_count=20")).result()
    beside, huge = insert(lane, "beside"), insert(lane, "x" * 200_000)
    with pytest.raises(DiskSpaceError) as raised:
        huge.result()
    assert (raised.value.http_status, raised.value.value) == (507, str(path))
    acknowledged = beside.exception() is None
    assert insert(lane, "small").result() == 1
    assert stored(path) == ["beside", "small"] if acknowledged else ["small"]


def test_a_file_that_another_process_writes_to_is_busy(lane, path) -> None:
    lane.submit(lambda db: db.execute("PRAGMA busy_timeout=10")).result()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ResourceError, match="another process"):
            insert(lane, "a").result()
        other.execute("ROLLBACK")
    assert insert(lane, "b").result() == 1
    assert stored(path) == ["b"]


def test_what_is_queued_cannot_be_cancelled(lane, path) -> None:
    done = [insert(lane, value) for value in "abc"]
    assert not any(future.cancel() for future in done)
    assert [future.result() for future in done] == [1, 1, 1]
    assert stored(path) == ["a", "b", "c"]


def test_a_closed_lane_takes_nothing(lane) -> None:
    done = insert(lane, "a")
    lane.close()
    assert done.result() == 1
    with pytest.raises(AssertionError, match="closed"):
        insert(lane, "b")
