"""`ossia models`, `pull`, `rm` and `info` on a machine with a tiny model."""

import io
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest
from rich.console import Console
from rich.progress import Progress

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.cli.models.progress import COLUMNS, Bars
from ossia.errors import DownloadError
from ossia.settings import Settings

from ..hub.tiny import write_checkpoint  # noqa: TID252  (a test is no package to be imported by name)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny(settings: Settings) -> Path:
    """A model called pocket in Ossia's own folder."""
    return write_checkpoint(settings.data_dir / "models" / "pocket")


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"y\n")))


def test_nothing_here_says_how_to_begin(app: App, capsys: Capture) -> None:
    assert execute(["models"], app) == 0
    assert "ossia pull pocket" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_models_of_every_program_are_listed(app: App, settings: Settings, capsys: Capture) -> None:
    write_checkpoint(settings.lmstudio_home / "models" / "someone" / "gpt-oss-tiny")
    assert execute(["models"], app) == 0
    out = capsys.readouterr().out
    pocket = next(line for line in out.splitlines() if "pocket" in line)
    assert "pocket *" in pocket
    assert "Ossia" in pocket
    assert "yes" in pocket
    assert any("someone/gpt-oss-tiny" in line and "LM Studio" in line for line in out.splitlines())


@pytest.mark.usefixtures("tiny")
def test_models_as_json(app: App, tiny: Path, capsys: Capture) -> None:
    assert execute(["models", "--json"], app) == 0
    (model,) = json.loads(capsys.readouterr().out)
    assert (model["name"], model["source"], model["usable"]) == ("pocket", "ossia", True)
    assert model["path"] == str(tiny)
    assert model["size_bytes"] > 0


def test_an_incomplete_model_says_what_is_missing(app: App, tiny: Path, capsys: Capture) -> None:
    (tiny / "model.safetensors").unlink()
    execute(["models"], app)
    assert "no safetensors file" in capsys.readouterr().out


@pytest.mark.usefixtures("tiny")
def test_info_shows_parameters_and_memory(app: App, capsys: Capture) -> None:
    assert execute(["info", "pocket"], app) == 0
    out = capsys.readouterr().out
    assert "2 of 4 experts" in out
    assert "active per token" in out
    assert "4,096 tokens" in out
    assert "available now" in out
    assert "fits" in out


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("argv", [["info", "--json"], ["-m", "pocket", "info", "--json"]])
def test_info_as_json_adds_up(argv: list[str], app: App, capsys: Capture) -> None:
    assert execute([*argv, "--verify"], app) == 0
    info = json.loads(capsys.readouterr().out)
    assert info["parameters"]["total"] > info["parameters"]["active"] > 0
    (plan,) = info["memory"].values()
    parts = {name: size for name, size in plan.items() if name not in ("total", "fit", "max_memory")}
    assert sum(parts.values()) == plan["total"]
    assert info["available_bytes"] > 0
    assert info["verified"]["tensors"] > 10


def test_verify_finds_a_damaged_model(app: App, tiny: Path, capsys: Capture) -> None:
    data = (tiny / "model.safetensors").read_bytes()
    (tiny / "model.safetensors").write_bytes(data[:-100])
    assert execute(["info", "--verify"], app) == 3
    err = capsys.readouterr().err
    assert "remedy:" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "argv", [["info", "pockt"], ["rm", "pockt"], ["chat", "-m", "pockt"], ["run", "-m", "pockt", "x"]]
)
def test_an_unknown_name_is_code_3_with_a_remedy(argv: list[str], app: App, capsys: Capture) -> None:
    assert execute(argv, app) == 3
    err = capsys.readouterr().err
    assert "Did you mean pocket?" in err
    assert "remedy:" in err


def test_rm_asks_where_it_can_and_refuses_where_it_cannot(
    app: App, tiny: Path, no_terminal: None, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert execute(["rm", "pocket"], app) == 2
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("click.confirm", lambda *_, **__: (_ for _ in ()).throw(click.Abort()))
    assert execute(["rm", "pocket"], app) == 130
    assert tiny.is_dir()
    assert execute(["rm", "--yes", "pocket"], app) == 0
    assert "removed pocket" in capsys.readouterr().out
    assert not tiny.exists()


def test_pull_shows_its_steps_and_where_the_model_is(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture, tmp_path: Path
) -> None:
    def pull(name: str, *, progress, settings: Settings) -> Path:
        assert settings.pocket_base == tmp_path / "base.whl"
        for done in range(0, 101, 50):
            progress("fetching the base", done, 100)
        progress("making [bold]pocket", 1, 0)
        return tmp_path / "pocket"

    monkeypatch.setattr("ossia.cli.models.pull.pull", pull)
    assert execute(["pull", "pocket", "--base", str(tmp_path / "base.whl")], app) == 0
    out, err = capsys.readouterr()
    assert out == f"pocket is ready: {tmp_path / 'pocket'}\n"
    assert err == "fetching the base\nmaking [bold]pocket\n"


def test_a_pull_that_fails_is_code_5(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def pull(name: str, **_: object) -> Path:
        raise DownloadError(
            "cannot be reached", value="https://example.invalid", remedy="Check the connection."
        )

    monkeypatch.setattr("ossia.cli.models.pull.pull", pull)
    assert execute(["pull", "openai/gpt-oss-20b"], app) == 5
    assert capsys.readouterr().err.startswith("error: cannot be reached\n  value:  https://example.invalid\n")


@pytest.mark.usefixtures("tiny")
def test_a_real_model_answers_and_is_remembered(app: App, settings: Settings, capsys: Capture) -> None:
    argv = ["run", "-m", "pocket", "--max-tokens", "4", "--seed", "1", "--threads", "1", "Hi"]
    assert execute(argv, app) == 7
    assert not (settings.config_dir / "model.json").exists()  # a script does not change the default
    capsys.readouterr()


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("words", [["-m", "pocket"], []])
def test_a_chat_remembers_the_model_that_was_chosen(
    words: list[str], app: App, settings: Settings, no_terminal: None
) -> None:
    execute(["chat", *words, "--max-tokens", "2", "--threads", "1"], app)
    assert (settings.config_dir / "model.json").exists() is bool(words)


def test_korean_errors_frame_what_the_rooms_say(settings: Settings, capsys: Capture) -> None:
    assert execute(["info", "pockt"], App(replace(settings, lang="ko"))) == 3
    err = capsys.readouterr().err
    assert err.startswith("오류: 모델이 없습니다 (no model is called 'pockt'")
    assert "방법:  " in err


def test_progress_on_a_terminal_keeps_one_bar_per_piece_of_work() -> None:
    out = io.StringIO()
    bars = Progress(*COLUMNS, console=Console(file=out, force_terminal=True, width=100))
    shown = Bars(bars)
    for what, done, total in (
        ("config.json", 0, 10**9),
        ("model-0.safetensors", 5 * 10**8, 10**9),  # counts on towards the same total
        ("[bold]converting\x1b", 3, 30),  # layers, not bytes
        ("waiting", 0, 0),
    ):
        shown.show(what, done, total)
    with bars:
        bars.refresh()
    lines = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", out.getvalue()).split("\r")[-1].splitlines()
    assert len([line for line in lines if line.strip()]) == 3
    assert "model-0.safetensors" in lines[0]
    assert "500.0 MB / 1.0 GB" in lines[0]
    assert "[bold]converting␛" in lines[1]
    assert "3/30" in lines[1]
    assert "waiting" in lines[2]
