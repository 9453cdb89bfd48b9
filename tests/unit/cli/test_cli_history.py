"""The input history is private, bounded and can be off."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory

from ossia.cli.chat.history import PrivateHistory, open_history
from ossia.settings import load_settings


@pytest.fixture
def wide_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("wide_umask")
def test_the_file_is_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "config" / "history.jsonl"
    PrivateHistory(path).store_string("a question")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.usefixtures("wide_umask")
def test_a_file_that_was_readable_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("")
    path.chmod(0o644)
    PrivateHistory(path).store_string("x")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_entries_come_back_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "h"
    for entry in ("one", "두\n줄", "\ud800 lone"):
        PrivateHistory(path).store_string(entry)
    assert list(PrivateHistory(path).load_history_strings()) == ["\ud800 lone", "두\n줄", "one"]


def test_a_long_history_is_cut_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_text("".join(f'"{n}"\n' for n in range(2500)))
    assert list(PrivateHistory(path).load_history_strings())[:2] == ["2499", "2498"]
    assert len(path.read_text().splitlines()) == 1000
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_rubbish_in_the_file_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "h"
    path.write_bytes(b'\xff\xfe\n{"a": 1}\n"kept"\nhalf a li')
    assert list(PrivateHistory(path).load_history_strings()) == ["kept"]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("")
    (tmp_path / "h").symlink_to(target)
    PrivateHistory(tmp_path / "h").store_string("secret")
    assert target.read_text() == ""


def test_off_means_no_file(tmp_path: Path) -> None:
    settings = load_settings({"OSSIA_HOME": str(tmp_path), "OSSIA_HISTORY": "off"})
    history = open_history(settings)
    assert isinstance(history, InMemoryHistory)
    history.append_string("x")
    assert list(tmp_path.iterdir()) == []
    assert isinstance(open_history(replace(settings, history=True)), PrivateHistory)
