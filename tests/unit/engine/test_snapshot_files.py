import os
from types import SimpleNamespace

import numpy as np
import pytest

from ossia.engine.snapshots import block_file
from ossia.engine.snapshots.folder import SnapshotFolder

RNG = np.random.default_rng(0)


def arrays(count=6, words=8):
    return [RNG.integers(0, 1 << 16, (4, words), np.uint16) for _ in range(count)]


def empty_like(views):
    return [np.zeros_like(view) for view in views]


def test_reads_what_was_written(tmp_path):
    views = arrays()
    size = block_file.write(tmp_path / "a", views)
    assert size == (tmp_path / "a").stat().st_size == 64 + 6 * 64
    back = empty_like(views)
    assert block_file.read(tmp_path / "a", back)
    assert all(np.array_equal(a, b) for a, b in zip(views, back, strict=True))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_arrays_may_lie_apart(tmp_path):
    """K and V of one block are slices of the whole cache, more of them than one call takes."""
    cache = RNG.integers(0, 1 << 16, (1500, 3, 2, 4), np.uint16)
    block_file.write(tmp_path / "a", [layer[1] for layer in cache])
    back = np.zeros_like(cache)
    assert block_file.read(tmp_path / "a", [layer[2] for layer in back])
    assert np.array_equal(back[:, 2], cache[:, 1])
    assert not back[:, :2].any()


def test_nothing_is_a_file_too(tmp_path):
    block_file.write(tmp_path / "a", [])
    assert block_file.read(tmp_path / "a", [])
    assert not block_file.read(tmp_path / "a", arrays(1))


def test_every_flipped_bit_is_found(tmp_path):
    views = arrays(3, 2)
    block_file.write(tmp_path / "a", views)
    whole = (tmp_path / "a").read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "a").write_bytes(damaged)
        assert not block_file.read(tmp_path / "a", empty_like(views))


def test_order_and_name_are_part_of_the_checksum():
    views = arrays()
    told = block_file.checksum("a", views)
    assert block_file.checksum("a", views) == told
    assert block_file.checksum("b", views) != told
    assert block_file.checksum("a", [views[1], views[0], *views[2:]]) != told
    assert block_file.checksum("a", [*views, np.zeros_like(views[0])]) != told
    assert block_file.checksum("a", [np.zeros_like(views[0]), *views]) != told


@pytest.mark.parametrize("size", [0, 1, 63, 64, 100])
def test_a_truncated_file_is_no_file(tmp_path, size):
    block_file.write(tmp_path / "a", views := arrays())
    os.truncate(tmp_path / "a", size)
    assert not block_file.read(tmp_path / "a", views)


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        block_file.write(tmp_path / "a", arrays())
    assert list(tmp_path.iterdir()) == []


def put(folder, name, age, size=100):
    path = folder.path / name
    path.write_bytes(bytes(size))
    stamp = 1_700_000_000 - age
    os.utime(path, (stamp, stamp))


def names(folder):
    return sorted(path.name for path in folder.path.iterdir())


def test_the_least_recently_used_go_first_and_the_far_end_of_a_chain(tmp_path):
    old, new = (SnapshotFolder(tmp_path, model, 500) for model in ("old", "new"))
    for folder, age in ((old, 9), (new, 1)):
        folder.create()
        for end in (64, 128, 150):
            put(folder, f"{end:08d}-x{'.snap' if end == 150 else '.block'}", age)
    assert new.trim() == 1
    assert names(old) == ["00000064-x.block", "00000128-x.block"]
    assert len(names(new)) == 3
    old.touch(names(old))
    assert SnapshotFolder(tmp_path, "new", 250).trim() == 3
    assert names(new) == []
    assert names(old) == ["00000064-x.block", "00000128-x.block"]


def test_never_more_than_a_tenth_of_the_free_disk(tmp_path, monkeypatch):
    folder = SnapshotFolder(tmp_path, "model", 1 << 40)
    folder.create()
    for end in range(10):
        put(folder, f"{end:08d}-x.block", 0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=4000))
    folder.trim()
    assert len(names(folder)) == 5  # (4000 + 1000) / 10


def test_what_a_killed_process_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    folder = SnapshotFolder(tmp_path, "model", 1000)
    folder.create()
    put(folder, "dead.tmp", 0)
    (folder.path / "alive.tmp").write_bytes(b"x")
    (folder.path / "notes.txt").write_bytes(b"not ours")
    folder.trim()
    assert names(folder) == ["alive.tmp", "notes.txt"]


def test_foreign_names_are_no_snapshots(tmp_path):
    folder = SnapshotFolder(tmp_path, "model", 1000)
    assert folder.snapshots() == {}
    folder.create()
    for name in ("00000150-aa.snap", "00000150-bb.snap", "abcdefgh-aa.snap", "00000150-aa.block", "x.snap"):
        put(folder, name, 0)
    assert folder.snapshots() == {150: {"00000150-aa.snap", "00000150-bb.snap"}}
