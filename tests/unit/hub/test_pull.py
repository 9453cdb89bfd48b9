"""Pulling by name: pocket is made once and again when it is out of date; the rest comes from the Hub.

The conversion itself is stood in for by a tiny checkpoint here; `pocket/` tests the real one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ossia.errors import DiskSpaceError, DownloadError, InputError, ModelNotFoundError
from ossia.hub import pull as pulling
from ossia.hub.cache import staged_folder
from ossia.hub.pull import pocket_is_current, pull
from ossia.hub.sources import locate
from ossia.hub.verify import read_stamp

Usage = namedtuple("Usage", "total used free")


@dataclass
class Maker:
    """Stands in for fetching the base and converting it, and counts."""

    write: object
    fetched: list[tuple[Path, Path | None]] = field(default_factory=list)
    converted: list[Path] = field(default_factory=list)
    failure: BaseException | None = None

    def fetch_base(self, cache_dir, *, source=None, progress=None):
        self.fetched.append((cache_dir, source))
        return cache_dir / "base.gguf"

    def convert_pocket(self, base, destination, *, progress=None):
        assert base.name == "base.gguf"
        self.converted.append(destination)
        with staged_folder(destination) as staging:  # as the real one promises: whole or not at all
            self.write(staging)
            if self.failure:
                raise self.failure


@pytest.fixture
def maker(monkeypatch, write_checkpoint):
    maker = Maker(write_checkpoint)
    monkeypatch.setattr(pulling, "fetch_base", maker.fetch_base)
    monkeypatch.setattr(pulling, "convert_pocket", maker.convert_pocket)
    return maker


def test_pocket_is_made_stamped_and_found(settings, maker):
    folder = pull("pocket", settings=settings)
    assert folder == settings.data_dir / "models" / "pocket"
    assert locate("pocket", settings).loadable
    assert pocket_is_current(settings)
    stamp = read_stamp(folder)
    assert stamp is not None
    assert set(stamp.files) == {"config.json", "tokenizer.json", "model.safetensors"}
    assert maker.fetched == [(settings.cache_dir / "pocket-base", None)]


def test_a_current_pocket_is_not_made_again(settings, maker):
    pull("pocket", settings=settings)
    pull("ossia/pocket", settings=settings)
    assert len(maker.converted) == 1


def test_a_damaged_pocket_is_made_again(settings, maker):
    folder = pull("pocket", settings=settings)
    (folder / "tokenizer.json").write_text("{}")
    pull("pocket", settings=settings)
    assert len(maker.converted) == 2
    assert (folder / "tokenizer.json").read_text() != "{}"


def test_a_pocket_of_another_adapter_is_made_again(settings, maker, monkeypatch):
    pull("pocket", settings=settings)
    monkeypatch.setattr(pulling, "pocket_version", lambda: "newer")
    assert not pocket_is_current(settings)
    pull("pocket", settings=settings)
    assert len(maker.converted) == 2
    assert pocket_is_current(settings)


def test_the_version_changes_with_the_code_and_the_data_that_make_pocket(tmp_path, monkeypatch):
    assert pulling.pocket_version() != hashlib.sha256().hexdigest()  # it found the package
    monkeypatch.setattr(pulling, "files", lambda _: tmp_path)
    (tmp_path / "data").mkdir()
    versions = []
    for name, content in (
        ("convert.py", b"1"),
        ("convert.py", b"2"),
        ("data/adapter", b"1"),
        ("data/adapter", b"2"),
    ):
        (tmp_path / name).write_bytes(content)
        versions.append(pulling.pocket_version())
    assert len(set(versions)) == 4
    (tmp_path / "convert.pyc").write_bytes(b"compiled")
    assert pulling.pocket_version() == versions[-1]


def test_a_failed_conversion_leaves_what_was_there(settings, maker, monkeypatch):
    folder = pull("pocket", settings=settings)
    before = (folder / "ossia.json").read_text()
    monkeypatch.setattr(pulling, "pocket_version", lambda: "newer")
    maker.failure = OSError(28, "No space left on device")
    with pytest.raises(DiskSpaceError, match="filled up"):
        pull("pocket", settings=settings)
    assert (folder / "ossia.json").read_text() == before
    assert [path.name for path in folder.parent.iterdir()] == ["pocket"]


def test_an_interrupted_conversion_leaves_nothing(settings, maker):
    maker.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        pull("pocket", settings=settings)
    assert list((settings.data_dir / "models").iterdir()) == []


def test_free_disk_is_checked_before_the_base_is_fetched(settings, maker, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    with pytest.raises(DiskSpaceError) as caught:
        pull("pocket", settings=settings)
    assert (caught.value.value, caught.value.limit) == (pulling.POCKET_BYTES, 1000)
    assert maker.fetched == []


def test_other_names_come_from_the_hub(settings, hub):
    folder = pull("gpt-oss:20b", settings=settings, endpoint=hub.url)
    assert folder == locate("openai/gpt-oss-20b", settings).path


def test_what_is_not_somewhere_else_cannot_be_pulled(settings, write_checkpoint, tmp_path):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(DownloadError, match="known to this computer only"):
        pull("mine", settings=settings)
    with pytest.raises(InputError, match="is a folder on this computer already"):
        pull(str(tmp_path), settings=settings)
    with pytest.raises(ModelNotFoundError):
        pull("nonsense", settings=settings)


PULL_SLOWLY = """
import importlib.util, os, sys, time
from pathlib import Path
from ossia.hub import pull as pulling
from ossia.hub.cache import staged_folder
spec = importlib.util.spec_from_file_location("tiny", sys.argv[1])
tiny = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tiny)
def convert(base, destination, *, progress=None):
    with staged_folder(destination) as staging:
        (staging / "half").touch()
        print("converting", flush=True)
        while not Path(sys.argv[2]).exists():
            time.sleep(0.01)
        tiny.write_checkpoint(staging)
pulling.fetch_base = lambda cache_dir, **_: cache_dir
pulling.convert_pocket = convert
print(pulling.pull("pocket", progress=lambda what, *_: print(what, flush=True)))
"""


@pytest.fixture
def start_pull(settings, tmp_path):
    """Start a process that pulls pocket and converts until the file `go` exists; await its first line."""
    env = os.environ | {"OSSIA_HOME": str(settings.data_dir.parent), "HF_HOME": str(settings.hf_home)}
    command = [
        sys.executable,
        "-c",
        PULL_SLOWLY,
        str(Path(__file__).with_name("tiny.py")),
        str(tmp_path / "go"),
    ]
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_of_two_pulls_at_once_one_makes_it_and_the_other_waits_and_says_so(settings, start_pull, tmp_path):
    first, said = start_pull()
    assert said == "converting"
    second, said = start_pull()
    assert said == "waiting for another process that is getting pocket"
    (tmp_path / "go").touch()
    path = str(settings.data_dir / "models" / "pocket")
    assert first.communicate()[0].split("\n")[-2] == path
    rest = second.communicate()[0].split("\n")
    assert rest[-2] == path
    assert "converting" not in rest
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_pull_that_was_killed_does_not_stop_the_next(settings, maker, start_pull):
    victim, said = start_pull()
    assert said == "converting"
    victim.kill()
    victim.wait()
    pull("pocket", settings=settings)
    assert [path.name for path in (settings.data_dir / "models").iterdir()] == ["pocket"]
