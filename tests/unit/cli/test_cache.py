"""`ossia cache` and `--prefix-cache`: where computed prompts go, what they take, and removing them."""

from dataclasses import replace
from pathlib import Path

import pytest

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.settings import Settings

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def kept(settings: Settings) -> Path:
    """A folder as two models leave it, with a file in it that is none of ours."""
    root = settings.cache_dir / "prefixes"
    for model in ("a", "b"):
        (root / model).mkdir(parents=True)
        (root / model / "00000064-12.block").write_bytes(b"x" * 1000)
    (root / "a" / "00000064-12.snap").write_bytes(b"x" * 500)
    (root / "b" / "letter.txt").write_text("mine")
    (root / "trim.lock").touch()
    return root


def test_show_counts_the_files_of_all_models(settings: Settings, kept: Path, capsys: Capture) -> None:
    assert execute(["cache", "show"], App(settings)) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"2.5 kB in 3 files at {kept}"
    assert told[1].startswith("switched off")


def test_show_says_the_limit_where_it_is_on(settings: Settings, capsys: Capture) -> None:
    assert execute(["cache", "show"], App(replace(settings, prefix_cache_bytes=4_000_000_000))) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("0 bytes in 0 files")
    assert told[1] == "switched on, up to 4.0 GB"


def test_clear_removes_snapshots_and_nothing_else(settings: Settings, kept: Path, capsys: Capture) -> None:
    assert execute(["cache", "clear"], App(settings)) == 0
    assert capsys.readouterr().out == f"removed 2.5 kB from {kept}\n"
    assert sorted(p.name for p in kept.rglob("*")) == ["b", "letter.txt", "trim.lock"]


def test_clear_of_a_folder_that_is_named(settings: Settings, kept: Path, tmp_path: Path) -> None:
    (tmp_path / "other" / "m").mkdir(parents=True)
    (tmp_path / "other" / "m" / "00000064-12.window").touch()
    assert execute(["cache", "clear", "--prefix-cache", f"{tmp_path}/other"], App(settings)) == 0
    assert list((tmp_path / "other").iterdir()) == []
    assert len(list(kept.glob("*/*.block"))) == 2


@pytest.mark.parametrize(
    ("value", "size", "folder"),
    [("on", 2 << 30, None), ("off", None, None), ("3GB", 3_000_000_000, None), ("./p", 2 << 30, Path("p"))],
)
def test_the_option_is_the_setting_for_one_command(
    settings: Settings, value: str, size: int | None, folder: Path | None
) -> None:
    app = App(replace(settings, prefix_cache_bytes=1))
    assert execute(["cache", "show", "--prefix-cache", value], app) == 0
    assert (app.settings.prefix_cache_bytes, app.settings.prefix_cache_dir) == (size, folder)


def test_any_other_word_is_refused(settings: Settings, capsys: Capture) -> None:
    assert execute(["cache", "show", "--prefix-cache", "yes"], App(settings)) != 0
    assert "--prefix-cache='yes'" in capsys.readouterr().err
