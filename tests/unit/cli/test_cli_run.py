"""`ossia run`: what goes where, and with which exit code."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from ossia.agent.events import FinishReason
from ossia.cli.answer.run import exit_code
from ossia.cli.main import execute

from .conftest import SUBTRACTION, Scripted, call, final, think

Make = Callable[..., Scripted]
Capture = pytest.CaptureFixture[str]


class Stdin(io.TextIOWrapper):
    """Standard input with the given bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(data))


def events_of(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_answer_alone_goes_to_standard_output(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "What is 12345 minus 678?"], scripted(*SUBTRACTION).app) == 0
    assert capsys.readouterr() == ("12345 minus 678 is 11667.\n", "")


def test_reasoning_and_calls_go_to_standard_error(scripted: Make, capsys: Capture) -> None:
    execute(["run", "--reasoning", "What is 12345 minus 678?"], scripted(*SUBTRACTION).app)
    out, err = capsys.readouterr()
    assert out == "12345 minus 678 is 11667.\n"
    assert err == (
        'I should calculate this.\n→ calculator {"expression": "12345 - 678"}\n← 11667\nThe tool says so.\n'
    )


def test_json_shows_analysis_call_result_final(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "--json", "What is 12345 minus 678?"], scripted(*SUBTRACTION).app) == 0
    events = events_of(capsys.readouterr().out)
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds[:2] == ["prompt.progress", "reasoning.delta"]
    assert {"call.started", "call.ready", "result.ready", "text.delta", "message.done"} <= set(kinds)
    assert kinds[-1] == "finished"
    assert next(e["text"] for e in events if e["type"] == "result.ready") == "11667"
    assert events[-1]["reason"] == "stop"
    assert events[-1]["usage"]["reasoning_tokens"] > 0


def test_several_efforts_are_compared(
    scripted: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    answers = (final("Quick."), think("Hm.") + final("Slower."), think("Hm, hm, hm.") + final("[b]Slow[/b]."))
    run = scripted(*answers)
    assert execute(["run", "--effort", "low,medium,high", "Why?"], run.app) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in ("Quick.", "Slower.", "[b]Slow[/b].", "low", "medium", "high"))
    assert "reasoning tokens" in out
    assert "seconds" in out
    assert [run.prompt(n).count(f"Reasoning: {e}") for n, e in enumerate(("low", "medium", "high"))] == [
        1,
        1,
        1,
    ]


def test_a_narrow_terminal_gets_rows(
    scripted: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert execute(["run", "--effort", "low,high", "Why?"], scripted(final("One."), final("Two.")).app) == 0
    wide = capsys.readouterr().out
    assert max(map(len, wide.splitlines())) <= 50
    assert wide.index("One.") < wide.index("Two.")


def test_json_with_several_efforts_names_them(scripted: Make, capsys: Capture) -> None:
    execute(["run", "--json", "--effort", "low,high", "Why?"], scripted(final("One."), final("Two.")).app)
    events = events_of(capsys.readouterr().out)
    text = [e["text"] for e in events if e["type"] == "text.delta" and e["effort"] == "high"]
    assert "".join(text) == "Two."
    assert {e["effort"] for e in events} == {"low", "high"}


@pytest.mark.parametrize("argv", [[], ["-"]])
def test_the_prompt_comes_from_standard_input(
    argv: list[str], scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    feed(monkeypatch, "안녕, what is this?\nTwo lines.\n".encode())
    run = scripted(final("Fine."))
    assert execute(["run", *argv], run.app) == 0
    assert "<|message|>안녕, what is this?\nTwo lines.<|end|>" in run.prompt(0)
    assert capsys.readouterr().out == "Fine.\n"


def test_a_dash_among_words_stands_for_standard_input(
    scripted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, b"the text")
    run = scripted(final("Fine."))
    assert execute(["run", "Summarise:", "-"], run.app) == 0
    assert "Summarise: the text<|end|>" in run.prompt(0)


def test_options_reach_the_model(scripted: Make) -> None:
    run = scripted(final("Fine."))
    argv = [
        "run",
        "--system",
        "Be brief.",
        "--no-tools",
        "--effort",
        "HIGH",
        "--temperature",
        "0",
        "--seed",
        "7",
    ]
    assert execute([*argv, "--top-p", "0.5", "--max-tokens", "50", "Hi"], run.app) == 0
    params = run.backend.params[0]
    assert (params.temperature, params.seed, params.top_p, params.max_tokens) == (0.0, 7, 0.5, 50)
    assert "Be brief." in run.prompt(0)
    assert "Reasoning: high" in run.prompt(0)
    assert "calculator" not in run.prompt(0)


@pytest.mark.parametrize(
    ("argv", "answers", "code"),
    [
        (["--max-tokens", "3"], [think("a long thought that goes on") + final("never")], 7),
        (["--stop", "11"], [final("The number 1167")], 0),
        ([], [call("calculator", "{}")] * 16, 8),
        ([], [think("only thought")], 10),
        ([], [final(" ")], 10),
        (["--json"], [final("")], 10),
        ([], [final("Again and again, as if I had nothing else to say. " * 300)], 11),
    ],
)
def test_the_end_decides_the_exit_code(
    argv: list[str], answers: list[str], code: int, scripted: Make
) -> None:
    assert execute(["run", *argv, "Hi"], scripted(*answers).app) == code


def test_at_the_limit_of_reasoning_the_answer_comes(scripted: Make, capsys: Capture) -> None:
    run = scripted(think("one two three four five six seven"), "Seven.<|return|>")
    assert execute(["run", "--max-reasoning-tokens", "3", "Hi"], run.app) == 0
    assert capsys.readouterr().out == "Seven.\n"
    assert run.prompt(1).endswith(" three<|end|><|start|>assistant<|channel|>final<|message|>")


SCHEMA = '{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}'


@pytest.mark.parametrize(
    "argv", [["--tool-choice", "required"], ["--tool-choice", "calculator"], ["--json-schema", "schema.json"]]
)
def test_what_only_a_grammar_can_enforce_is_not_promised_without(
    argv: list[str], scripted: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "schema.json").write_text(SCHEMA)
    run = scripted(final("never"))
    assert execute(["run", *argv, "Hi"], run.app) == 6  # this backend obeys no masks
    assert "obeys no grammar" in capsys.readouterr().err
    assert run.backend.prompts == []


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), ("{", "holds no JSON Schema"), ("[1]", "holds no JSON Schema: list")],
)
def test_a_file_without_a_schema_is_refused(
    content: str | None, said: str, scripted: Make, capsys: Capture, tmp_path: Path
) -> None:
    file = tmp_path / "schema.json"
    if content is not None:
        file.write_text(content)
    assert execute(["run", "--json-schema", str(file), "Hi"], scripted().app) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "remedy:" in err


def test_a_tool_that_is_not_there_cannot_be_chosen(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "--tool-choice", "shell", "Hi"], scripted(final("x")).app) == 2
    assert "functions.calculator" in capsys.readouterr().err


def test_the_grammar_can_be_left_out(scripted: Make) -> None:
    run = scripted(final("Fine."))
    assert execute(["run", "--no-grammar", "Hi"], run.app) == 0
    assert run.backend.params[0].mask is None


@pytest.mark.parametrize(
    ("words", "on"), [([], True), (["--no-speculation"], False), (["--speculation"], True)]
)
def test_guessing_ahead_can_be_left_out(scripted: Make, words: list[str], on: bool) -> None:
    run = scripted(final("Fine."))
    assert execute(["run", *words, "Hi"], run.app) == 0
    assert run.app.settings.speculation is on


@pytest.mark.parametrize(
    ("words", "on"), [([], True), (["--no-screened-head"], False), (["--screened-head"], True)]
)
def test_tokens_can_be_chosen_by_all_logits(scripted: Make, words: list[str], on: bool) -> None:
    run = scripted(final("Fine."))
    assert execute(["run", *words, "Hi"], run.app) == 0
    assert run.app.settings.screened_head is on


def test_every_end_has_its_exit_code() -> None:
    assert [exit_code(reason) for reason in get_args(FinishReason)].count(0) == 3  # stop, stop_string, calls


def test_a_stop_string_ends_the_answer_before_it(scripted: Make, capsys: Capture) -> None:
    execute(["run", "--stop", "##", "Hi"], scripted(final("Before## after")).app)
    assert capsys.readouterr().out == "Before\n"


@pytest.mark.parametrize("data", [b"", b"  \n\n"])
def test_an_empty_prompt_is_an_error_with_a_remedy(
    data: bytes, scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    feed(monkeypatch, data)
    assert execute(["run"], scripted().app) == 2
    assert capsys.readouterr().err.startswith("error: the prompt is empty\n")


def test_invalid_utf8_names_the_byte(
    scripted: Make, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    feed(monkeypatch, "é ok ".encode() + b"\xff rest")
    run = scripted(final("never"))
    assert execute(["run"], run.app) == 2
    err = capsys.readouterr().err
    assert "byte 0xff at offset 6" in err
    assert "UTF-8" in err
    assert run.backend.prompts == []


def test_an_argument_that_is_not_utf8_is_an_error(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "caf\udce9"], scripted().app) == 2
    assert "offset 3" in capsys.readouterr().err


def test_a_prompt_over_the_limit_names_both_numbers(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "word " * 500], scripted(final("never"), context_length=300).app) == 2
    err = capsys.readouterr().err
    assert "limit:  300" in err
    assert "Traceback" not in err


def test_an_unknown_effort_is_an_error(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "--effort", "low,huge", "Hi"], scripted().app) == 2
    assert "limit:  low, medium, high" in capsys.readouterr().err


def test_an_error_in_json_is_a_line_too(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "--json", "word " * 500], scripted(final("x"), context_length=300).app) == 2
    out, err = capsys.readouterr()
    assert events_of(out)[-1]["error"] == "ContextLengthError"
    assert err.startswith("error: ")


def test_korean_is_told_what_pocket_cannot_do(scripted: Make, capsys: Capture) -> None:
    assert execute(["run", "프랑스의 수도는 어디인가요?"], scripted(final("Paris.")).app) == 0
    out, err = capsys.readouterr()
    assert out == "Paris.\n"
    assert "ossia pull openai/gpt-oss-20b" in err
    assert "한국어" in err


def test_another_language_is_told_in_the_users(scripted: Make, capsys: Capture) -> None:
    execute(["run", "Quelle est la capitale de la France ?"], scripted(final("Paris.")).app)
    assert "was made for English" in capsys.readouterr().err


def test_a_model_of_many_languages_says_nothing(scripted: Make, capsys: Capture) -> None:
    execute(["run", "프랑스의 수도는?"], scripted(final("파리."), english_only=False).app)
    assert capsys.readouterr() == ("파리.\n", "")


def test_a_terminal_is_never_steered(
    scripted: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    evil = "\x1b]0;owned\x07 \x9b2J \u202eabc"
    execute(["run", "--reasoning", "Hi"], scripted(think(evil) + final(evil)).app)
    out, err = capsys.readouterr()
    for text in (out, err):
        assert "␛]0;owned␇" in text
        assert not set(text) & set("\x1b\x07\x9b\u202e")


def test_who_waits_at_a_terminal_sees_the_thinking_counted(
    scripted: Make, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("ossia.cli.answer.aside._TICK_S", 0)
    execute(["run", "Hi"], scripted(think("one two three") + final("Done.")).app)
    out, err = capsys.readouterr()
    assert out == "Done.\n"
    assert " s, 3 tokens" in err
    assert err.endswith("\r\x1b[2K")


def test_a_pipe_gets_the_exact_text(scripted: Make, capsys: Capture) -> None:
    execute(["run", "Hi"], scripted(final("[bold]\x1b[1m")).app)
    assert capsys.readouterr().out == "[bold]\x1b[1m\n"


def test_no_word_of_a_conversation_is_written(scripted: Make, settings: Any) -> None:
    execute(["run", "my secret question"], scripted(final("my secret answer")).app)
    home = settings.data_dir.parent
    assert not [path for path in home.rglob("*") if path.is_file()]
