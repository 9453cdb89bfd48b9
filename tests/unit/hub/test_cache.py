"""Nothing half-written is ever found, full disks are typed, and two processes do not do one job twice."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ossia.errors import DiskSpaceError, OssiaError, ResourceError
from ossia.hub import cache
from ossia.hub.cache import (
    digest_of,
    full_disk_is_typed,
    human,
    locked,
    require_disk,
    size_of,
    staged_folder,
    sweep,
    write_atomic,
)

POSIX = pytest.mark.skipif(os.name != "posix", reason="file modes and size limits are POSIX's")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_writes_and_replaces(tmp_path):
    path = tmp_path / "new" / "file"
    for text in (b"one", b"two"):
        write_atomic(path, text)
        assert path.read_bytes() == text
    assert names(path.parent) == ["file"]


@POSIX
def test_what_write_atomic_writes_is_private_unless_asked(tmp_path):
    write_atomic(tmp_path / "a", b"")
    write_atomic(tmp_path / "b", b"", mode=0o644)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o600, 0o644]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cache.os, "fsync", full)
    with pytest.raises(DiskSpaceError, match="filled up while writing file"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_staged_folder_appears_only_when_whole(tmp_path):
    with staged_folder(tmp_path / "model") as staging:
        (staging / "part").write_bytes(b"1")
        assert not (tmp_path / "model").exists()
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["part"]


def test_a_staged_folder_replaces_the_old_one_whole(tmp_path):
    for content in ("old", "new"):
        with staged_folder(tmp_path / "model") as staging:
            (staging / content).write_bytes(b"")
    assert names(tmp_path / "model") == ["new"]
    assert names(tmp_path) == ["model"]


def test_an_interrupted_making_leaves_the_old_folder_and_nothing_else(tmp_path):
    with staged_folder(tmp_path / "model") as staging:
        (staging / "old").write_bytes(b"")
    interrupted = staged_folder(tmp_path / "model")
    (interrupted.__enter__() / "half").write_bytes(b"")
    assert interrupted.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None) is False
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["old"]


def test_what_a_crash_left_is_swept_by_the_next_making(tmp_path):
    (tmp_path / ".model.dead.tmp").mkdir()
    (tmp_path / ".model.dead.tmp" / "half").write_bytes(b"x")
    (tmp_path / ".model-2.busy.tmp").mkdir()  # another model's
    with staged_folder(tmp_path / "model"):
        assert len(names(tmp_path)) == 2
    assert names(tmp_path) == [".model-2.busy.tmp", "model"]


def test_sweep_counts_and_takes_only_its_own(tmp_path):
    for name in (".a[1].x.tmp", ".a1.x.tmp", "a[1].tmp"):
        (tmp_path / name).write_bytes(b"")
    assert sweep(tmp_path / "a[1]") == 1
    assert names(tmp_path) == [".a1.x.tmp", "a[1].tmp"]


@POSIX
def test_a_disk_that_fills_while_staging_is_typed_and_leaves_nothing(tmp_path):
    script = f"""
import resource, sys
from pathlib import Path
from ossia.errors import DiskSpaceError
from ossia.hub.cache import staged_folder
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with staged_folder(Path({str(tmp_path / "model")!r})) as staging:
        (staging / "big").write_bytes(bytes(5000))
except DiskSpaceError as error:
    sys.exit(0 if "filled up" in error.message and error.remedy else 2)
sys.exit(1)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "x"),
        OSError(errno.EDQUOT, "x"),
        OSError(errno.EFBIG, "x"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_every_kind_of_full_disk_is_typed(tmp_path, error):
    with pytest.raises(DiskSpaceError) as caught, full_disk_is_typed(tmp_path, "x"):
        raise error
    assert caught.value.limit is not None


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "x"), ValueError("x"), OssiaError("No space left")])
def test_other_errors_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, full_disk_is_typed(tmp_path, "x"):
        raise error
    assert caught.value is error


def test_free_disk_is_required_with_both_numbers(tmp_path):
    require_disk(tmp_path / "not" / "there" / "yet", 1000, "a little")
    with pytest.raises(DiskSpaceError, match=r"a lot needs 1000000000\.0 GB") as caught:
        require_disk(tmp_path / "not" / "there", 10**18, "a lot")
    assert caught.value.value == 10**18
    assert 0 < caught.value.limit < 10**18


def test_nothing_needed_is_never_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "free_bytes", lambda _: 0)
    require_disk(tmp_path, 0, "nothing")
    with pytest.raises(DiskSpaceError):
        require_disk(tmp_path, 1, "one byte")


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (13_761_264_768, "13.8 GB")]
)
def test_human_sizes(size, text):
    assert human(size) == text


def test_size_of_follows_links_and_passes_over_dangling_ones(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("nowhere")
    assert size_of(tmp_path) == 10
    assert size_of(tmp_path / "a") == 5


def test_digests_of_both_kinds(tmp_path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    seen: list[int] = []
    assert digest_of(path, "0" * 40) == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    sha = digest_of(path, "0" * 64, progress=lambda _, done, total: seen.append(done * 10 + total))
    assert sha == hashlib.sha256(b"hello\n").hexdigest()
    assert seen == [66]


def test_a_lock_held_by_another_is_waited_for_and_said(settings):
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with locked(settings, "openai/x", progress=lambda what, *_: said.append(what)):
            order.append("second")

    with locked(settings, "openai/x"):
        other = threading.Thread(target=second)
        other.start()
        deadline = time.monotonic() + 20
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
        order.append("first")
    other.join(20)
    assert order == ["first", "second"]
    assert said == ["waiting for another process that is getting openai/x"]


def test_waiting_for_a_lock_can_be_limited(settings):
    with locked(settings, "x"), pytest.raises(ResourceError) as caught, locked(settings, "x", timeout_s=0.05):
        pass
    assert (caught.value.value, caught.value.limit) == ("x", 0.05)


def test_a_lock_dies_with_its_process(settings):
    script = f"""
import os
from dataclasses import replace
from pathlib import Path
from ossia.hub.cache import locked
from ossia.settings import load_settings
held = locked(replace(load_settings({{}}), cache_dir=Path({str(settings.cache_dir)!r})), "x")
held.__enter__()
os._exit(7)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 7
    with locked(settings, "x", timeout_s=1):
        pass
