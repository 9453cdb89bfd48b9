"""kill -9 while responses are written: every acknowledged one is there whole, and none half-written."""

import random
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("writing.py")


def write_and_kill(path: Path, first: int, rng: random.Random) -> list[tuple[str, int]]:
    """What the program said before it was killed at a random point; `first` is its first record's number."""
    child = subprocess.Popen([sys.executable, str(PROGRAM), str(path), str(first)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child, child.stdout:
        said = [child.stdout.readline() for _ in range(rng.randrange(1, 60))]
        try:
            child.wait(timeout=rng.random() * 0.02)
        except subprocess.TimeoutExpired:
            child.kill()
        said += child.stdout.readlines()
    assert child.returncode == -9, "the program ended by itself"
    whole = [line.decode().split() for line in said if line.endswith(b"\n")]
    return [(word, int(number)) for word, number in whole]


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as db:
        for table in ("responses", "items"):
            db.execute(f"INSERT INTO {table}_said ({table}_said) VALUES ('integrity-check')")
        return [tuple(row) for row in db.execute("PRAGMA integrity_check")] == [("ok",)]


def stored(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers and statuses of what is there, each seen to be whole."""
    with closing(sqlite3.connect(path)) as db:
        items = dict(db.execute("SELECT conversation_id, count(*) FROM items GROUP BY 1"))
        query = "SELECT id, status, body ->> '$.text', body ->> '$.sum', body ->> '$.status' FROM responses"
        for id, status, text, checksum, said in db.execute(query):
            number = int(id.removeprefix("resp_"))
            assert (zlib.crc32(text.encode()), said) == (checksum, status), id
            assert items.get(f"conv_{number}", 0) == (3 if status == "completed" else 0), id
            yield number, status


@pytest.fixture
def kill_again_and_again(path: Path, in_store) -> Callable[[int], None]:
    return lambda kills: _kill(path, kills, in_store)


def _kill(path: Path, kills: int, in_store) -> None:
    rng = random.Random(kills)
    acknowledged: dict[int, str] = {}
    for at in range(kills):
        said = write_and_kill(path, at * 1_000_000, rng)
        acknowledged |= {number: word for word, number in said if word != "open"}
        in_store(lambda store: store.list_responses("", after=None, limit=1, order="asc"))
        assert is_sound(path)
        there = dict(stored(path))
        lost = acknowledged.keys() - there.keys()
        assert not lost
        behind = {n for n, word in acknowledged.items() if word == "completed" and there[n] != "completed"}
        assert not behind
    assert len(acknowledged) > kills


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(kill_again_and_again) -> None:
    kill_again_and_again(6)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_at_fifty_random_points(kill_again_and_again) -> None:
    kill_again_and_again(50)
