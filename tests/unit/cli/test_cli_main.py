"""The frame: help that loads nothing, languages, errors without tracebacks."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import click
import pytest

from ossia.cli.app import App, LazyGroup
from ossia.cli.failures import describe, report
from ossia.cli.main import execute
from ossia.errors import ContextLengthError, HashMismatchError, OssiaError

COMMANDS = ["chat", "run", "models", "pull", "rm", "info", "harmony", "tokens"]
Raise = Callable[[BaseException], None]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Make the command `models` fail with the given error."""

    def install(error: BaseException) -> None:
        @click.command("models")
        def failing() -> None:
            raise error

        monkeypatch.setattr(LazyGroup, "get_command", lambda *_: failing)

    return install


def test_help_names_every_command_and_loads_none_of_them() -> None:
    code = (
        "import sys\nfrom ossia.cli.main import execute\nexecute(['--help'])\n"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(f"\n  {name} " in run.stdout for name in COMMANDS)
    heavy = ("numpy", "rich", "prompt_toolkit", "huggingface_hub", "asyncio", "ossia.agent", "ossia.hub")
    assert not [name for name in run.stderr.split() if name.startswith(heavy)]


def test_without_a_command_the_help_is_shown(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([], app) == 0
    assert "Commands:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv", [["--lang", "ko", "--help"], ["--help", "--lang=ko"], ["-h", "--lang", "ko"]]
)
def test_help_speaks_korean_wherever_the_language_stands(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OSSIA_LANG", "en")
    assert execute(argv) == 0
    out = capsys.readouterr().out
    assert "사용법: ossia" in out
    assert "명령:" in out


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_command_has_help_without_untranslated_keys(
    name: str, lang: str, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([name, "--help"], App(replace(app.settings, lang=lang))) == 0
    out = capsys.readouterr().out
    assert "--debug" in out
    assert "--lang" in out
    assert "OPT_" not in out
    assert "HELP_" not in out


def test_version(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"], app) == 0
    assert capsys.readouterr().out.startswith("ossia 0")


@pytest.mark.parametrize(
    "argv", [["rnu"], ["--nonsense"], ["models", "--nonsense"], ["pull"], ["--threads", "0"]]
)
def test_wrong_usage_is_code_2_on_standard_error(
    argv: list[str], app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(argv, app) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "--help" in err


def test_a_near_miss_is_named(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    execute(["modles"], app)
    assert "Did you mean models?" in capsys.readouterr().err


def test_an_unknown_setting_in_the_environment_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OSSIA_MODLE", "x")
    assert execute(["--lang", "ko", "models"]) == 2
    err = capsys.readouterr().err
    assert "OSSIA_MODLE" in err
    assert "설정이 잘못되었습니다" in err


@pytest.mark.parametrize("debug", [False, True])
def test_a_fault_shows_a_traceback_only_with_debug(
    debug: bool, raising: Raise, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ZeroDivisionError("by design"))
    assert execute(["--debug", "models"] if debug else ["models"], app) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: by design" in err
    assert "--debug" in err
    assert ("Traceback" in err) is debug


def test_a_typed_error_shows_value_limit_and_remedy(
    raising: Raise, app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(ContextLengthError("the prompt is too long", value=9000, limit=8192, remedy="Shorten it."))
    assert execute(["models"], app) == 2
    assert capsys.readouterr().err == (
        "error: the prompt is too long\n  value:  9000\n  limit:  8192\n  remedy: Shorten it.\n"
    )


def test_ctrl_c_is_130(raising: Raise, app: App, capsys: pytest.CaptureFixture[str]) -> None:
    raising(KeyboardInterrupt())
    assert execute(["models"], app) == 130
    assert capsys.readouterr().err == "interrupted\n"


def every_error(kind: type[OssiaError] = OssiaError) -> list[type[OssiaError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in every_error(sub))]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_a_korean_headline_and_a_code(kind: type[OssiaError], app: App) -> None:
    app = App(replace(app.settings, lang="ko"))
    text = describe(kind("in English", value=1, remedy="Do it."), app)
    assert text.startswith("오류: ")
    assert "in English" in text
    assert "방법:  Do it." in text
    assert report(kind("x"), app) in range(1, 7)


def test_escape_sequences_in_an_error_do_not_reach_the_terminal(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    report(HashMismatchError("file \x1b[2J is wrong"), app)
    assert "\x1b" not in capsys.readouterr().err


def test_a_reader_that_goes_away_ends_the_program_quietly() -> None:
    code = "from ossia.cli.main import main\nmain(['--help'])"
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    run.stdout.close()
    _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (141, "")
