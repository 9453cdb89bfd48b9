"""The chat without a terminal, its slash commands, and what it keeps in files."""

import io
import json
import stat
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ossia.cli.answer.opening import Wishes, new_chat
from ossia.cli.app import App
from ossia.cli.chat import saved, slash
from ossia.cli.chat.talk import Talk
from ossia.cli.main import execute
from ossia.errors import InputError
from ossia.settings import Settings

from .conftest import SUBTRACTION, Scripted, final, think

Make = Callable[..., Scripted]
Capture = pytest.CaptureFixture[str]


def chat(scripted: Scripted, monkeypatch: pytest.MonkeyPatch, data: bytes, *argv: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    return execute(["chat", *argv], scripted.app)


@pytest.fixture
def talk(scripted: Make) -> Talk:
    run = scripted(*SUBTRACTION, final("Second."), context_length=1000)
    return Talk(new_chat(run.app.load(None, run.app.settings), Wishes(), "medium"))  # pyright: ignore[reportOptionalCall]


def test_each_line_is_answered(scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    run = scripted(*SUBTRACTION, think("hm") + final("You're welcome."))
    assert chat(run, monkeypatch, b"What is 12345 minus 678?\r\n\n  \nThanks!\n") == 0
    assert capsys.readouterr() == ("12345 minus 678 is 11667.\nYou're welcome.\n", "")
    assert "12345 minus 678 is 11667.<|end|><|start|>user<|message|>Thanks!" in run.prompt(2)


def test_slash_commands_work_line_by_line(
    scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = scripted(final("One."), final("Two."))
    lines = b"/effort high\nfirst\n/reset\n/nonsense\n/etc/passwd is what?\n/quit\nnever asked\n"
    assert chat(run, monkeypatch, lines) == 0
    out, err = capsys.readouterr()
    assert out == "One.\nTwo.\n"
    assert (
        err
        == "effort: high\nthe conversation is forgotten\nthere is no /nonsense; /help lists the commands\n"
    )
    assert "Reasoning: high" in run.prompt(0)
    assert "first" not in run.prompt(1)
    assert "/etc/passwd is what?" in run.prompt(1)


def test_invalid_utf8_names_its_offset_in_the_whole_input(
    scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert chat(scripted(final("One.")), monkeypatch, b"first\nsec\xc3ond\n") == 2
    out, err = capsys.readouterr()
    assert out == "One.\n"
    assert "byte 0xc3 at offset 9" in err


def test_a_cut_answer_is_the_exit_code(
    scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = scripted(final("a long answer with many words"), final("Fine."))
    assert chat(run, monkeypatch, b"one\ntwo\n", "--max-tokens", "5") == 7
    assert capsys.readouterr().out.endswith("\nFine.\n")


@pytest.mark.parametrize("nothing", [final(""), final(" "), think("hm")])
def test_an_answer_that_says_nothing_is_told(
    nothing: str, scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert chat(scripted(nothing), monkeypatch, b"Hi\n") == 10
    assert "no final answer" in capsys.readouterr().err


def test_the_language_note_comes_once(
    scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    run = scripted(final("1"), final("2"), final("3"))
    chat(run, monkeypatch, "hello\n안녕하세요?\n뭐 해요?\n".encode())
    assert capsys.readouterr().err.count("ossia pull openai/gpt-oss-20b") == 1


def test_a_missing_model_is_an_error_with_the_remedy(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hi\n")))
    assert execute(["chat"], app) == 3
    assert "remedy: Get it with: ossia pull pocket" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["/help", "  /effort low", "/Reset"])
def test_what_counts_as_a_command(line: str) -> None:
    assert slash.is_command(line)


@pytest.mark.parametrize("line", ["/etc/passwd", "/", "1/2", "// comment", "/x2", ""])
def test_what_does_not(line: str) -> None:
    assert not slash.is_command(line)


def test_every_command_is_in_the_help(talk: Talk, app: App) -> None:
    for lang in ("en", "ko"):
        text = slash.obey("/help", talk, App(replace(app.settings, lang=lang))).text
        assert [name for name in slash.words(talk) if name not in text] == ["/exit"]


def test_settings_change_the_next_answer(talk: Talk, app: App) -> None:
    slash.obey("/effort LOW", talk, app)
    slash.obey("/system Be brief.", talk, app)
    slash.obey("/tools off calculator", talk, app)
    assert (talk.effort, talk.chat.system, talk.tools) == ("low", "Be brief.", ())
    slash.obey("/system -", talk, app)
    slash.obey("/tools on calculator", talk, app)
    assert (talk.chat.system, talk.tools) == (None, ("calculator",))
    assert slash.obey("/system", talk, app).text == "instructions: none"


@pytest.mark.parametrize("line", ["/tools on nothing", "/tools sideways", "/nonsense"])
def test_a_slip_changes_nothing_and_says_so(line: str, talk: Talk, app: App) -> None:
    before = talk.chat.to_dict()
    assert slash.obey(line, talk, app).text
    assert talk.chat.to_dict() == before


@pytest.mark.parametrize("line", ["/effort huge", "/save", "/load", "/load /nowhere/at/all"])
def test_what_cannot_be_done_is_typed(line: str, talk: Talk, app: App) -> None:
    with pytest.raises(InputError):
        slash.obey(line, talk, app)


def test_the_grammar_is_switched(talk: Talk, app: App) -> None:
    assert talk.chat.grammar
    assert slash.obey("/grammar off", talk, app).text == "grammar: off"
    assert not talk.chat.grammar
    assert slash.obey("/grammar maybe", talk, app).text.startswith("usage:")
    assert (
        slash.obey("/grammar on", talk, app).text == slash.obey("/grammar", talk, app).text == "grammar: on"
    )


def test_the_last_question_is_taken_back(talk: Talk, app: App) -> None:
    assert slash.obey("/undo", talk, app).typed == ""
    list(talk.ask_now("What is 12345 minus 678?"))
    assert slash.obey("/undo", talk, app).typed == "What is 12345 minus 678?"
    assert talk.chat.history == ()


def test_the_context_is_counted(talk: Talk) -> None:
    assert talk.context() == (0, 1000, 0)
    list(talk.ask_now("What is 12345 minus 678?"))
    used, limit, percent = talk.context()
    assert 100 < used < limit == 1000
    assert percent == round(used / 10)


def test_a_conversation_is_saved_and_loaded_whole(talk: Talk, app: App, tmp_path: Path) -> None:
    list(talk.ask_now("What is 12345 minus 678?"))
    slash.obey("/effort high", talk, app)
    path = tmp_path / "my talk.json"
    slash.obey(f"/save '{path}'", talk, app)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = talk.chat.to_dict()
    slash.obey("/reset", talk, app)
    slash.obey("/effort low", talk, app)
    slash.obey("/tools off calculator", talk, app)
    slash.obey(f"/load '{path}'", talk, app)
    assert talk.chat.to_dict() == before
    slash.obey(f"/save {path}", talk, app)  # its own file may be written again


def test_another_programs_file_is_never_overwritten(talk: Talk, app: App, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(InputError, match="not a saved conversation"):
        slash.obey(f"/save {path}", talk, app)
    assert path.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_typed(talk: Talk, app: App, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        slash.obey(f"/save {tmp_path / 'file' / 'below'}", talk, app)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "not json",
        "[" * 5000,
        '{"format": "ossia-conversation", "version": 99}',
        '{"format": "ossia-conversation", "version": 1, "messages": [{"role": "system", "content": "x"}]}',
    ],
)
def test_a_file_that_is_no_conversation_is_refused(text: str, app: App, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a conversation saved by Ossia"):
        saved.load(path, app)


def test_a_file_that_is_not_text_is_refused(app: App, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError):
        saved.load(tmp_path / "x", app)


def test_a_saved_conversation_is_plain_json(talk: Talk, app: App, tmp_path: Path) -> None:
    list(talk.ask_now("What is 12345 minus 678?"))
    saved.save(tmp_path / "c.json", talk.saved(), app)
    document = json.loads((tmp_path / "c.json").read_text())
    assert document["model"] == "pocket"
    assert [message["role"] for message in document["messages"]] == ["user"] + ["assistant"] * 2 + [
        "tool"
    ] + ["assistant"] * 2


def test_plain_lines_write_no_file(
    scripted: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat(scripted(final("secret answer")), monkeypatch, b"secret question\n")
    assert not [path for path in settings.data_dir.parent.rglob("*") if path.is_file()]
