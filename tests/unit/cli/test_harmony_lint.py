"""``ossia harmony lint``: what is found in which form of input, where, and the exit code."""

import io
import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from ossia.cli.app import App
from ossia.cli.harmony.words import meaning
from ossia.cli.main import execute
from ossia.harmony.events import Code
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Message,
    SystemContent,
    TextInput,
    ToolNamespace,
    ToolSpec,
)
from ossia.harmony.parse import parse
from ossia.harmony.render import render_conversation
from ossia.harmony.schema import SchemaMode
from ossia.tokenizer import Tokenizer

from .harmony_inputs import MALFORMED, RESPONSE, TEXT, WEATHER, calling, write

Capture = pytest.CaptureFixture[str]

SYSTEM = "<|start|>system<|message|>You are helpful.<|end|>"
USER = "<|start|>user<|message|>hi<|end|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>Hello!<|end|>"


def lint_json(app: App, capsys: Capture, *argv: str) -> list[dict[str, Any]]:
    code = execute(["harmony", "lint", "--json", *argv], app)
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert code == (1 if findings else 0)
    return findings


def call(recipient: str, body: str, kind: str = "<|constrain|>json") -> str:
    return f"<|start|>assistant to={recipient}<|channel|>commentary {kind}<|message|>{body}<|call|>"


@pytest.mark.parametrize(
    "content", [TEXT, RESPONSE, calling('{"city": "Busan"}')], ids=["text", "resp", "chat"]
)
def test_what_is_whole_is_code_0_and_says_nothing(
    content: object, app: App, tmp_path: Path, capsys: Capture
) -> None:
    assert execute(["harmony", "lint", "--strict", write(tmp_path, "a", content)], app) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("nothing malformed: ")


def test_findings_name_line_column_and_tokens_in_harmony_text(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    path = write(tmp_path, "a.txt", MALFORMED)
    assert execute(["harmony", "lint", path], app) == 1
    out, err = capsys.readouterr()
    second, third = (line.find("<|reserved") + 1 for line in MALFORMED.split("\n")[1:])
    at = ids_from_text(MALFORMED, tok).index(200013)
    assert second == 0
    assert f"{path}:3:{third}:{at}-{at}: unexpected-token: " in out
    assert err == "2 found in 20 tokens\n"


def test_ids_and_conversations_have_no_lines(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    ids = ids_from_text(MALFORMED, tok)
    path = write(tmp_path, "a.json", ids)
    execute(["harmony", "lint", path], app)
    at = ids.index(200013)
    assert f"{path}:{at}-{at}: unexpected-token: " in capsys.readouterr().out


def test_the_tokens_of_each_diagnostic_are_the_parsers(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    found = lint_json(app, capsys, write(tmp_path, "a.txt", MALFORMED))
    _, notes = parse(ids_from_text(MALFORMED, tok), tok)
    assert [(f["code"], f["start"], f["end"], f["detail"]) for f in found] == [
        (note.code, note.start, note.end, note.detail) for note in notes
    ]


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ('{"city": "Busan"}', []),
        ('{"city": 3}', ["arguments-schema"]),
        ("{}", ["arguments-schema"]),
        ('{"city": ', ["arguments-not-json"]),
        ('["Busan"]', ["arguments-not-json"]),
        ('{"city": NaN}', ["arguments-not-json"]),
        ("[" * 100_000, ["arguments-not-json"]),
    ],
)
def test_arguments_are_checked_against_the_declared_schema(
    body: str, codes: list[str], app: App, tmp_path: Path, capsys: Capture
) -> None:
    found = lint_json(app, capsys, write(tmp_path, "a.json", calling(body)))
    assert [f["code"] for f in found] == codes
    assert all("functions.get_weather" in f["detail"] for f in found)


@pytest.mark.parametrize(
    ("parameters", "codes"),
    [
        ({"type": "no such type"}, ["bad-schema"]),
        ({"type": "object", "properties": {"city": {"$ref": "http://example.invalid/x"}}}, []),
        ({"type": "object", "properties": {"city": {"pattern": "("}}}, ["bad-schema"]),
    ],
)
def test_a_schema_that_cannot_be_used_is_a_finding_and_nothing_is_fetched(
    parameters: dict[str, Any],
    codes: list[str],
    app: App,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[object] = []
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: opened.append(address))
    request = json.loads(json.dumps(calling('{"city": "Busan"}')))
    request["tools"][0]["function"]["parameters"] = parameters
    assert [f["code"] for f in lint_json(app, capsys, write(tmp_path, "a.json", request))] == codes
    assert opened == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (USER + call("functions.f", "{}"), []),  # a fragment: nobody says what is declared
        (SYSTEM + USER + call("functions.f", "{}"), ["undeclared-recipient"]),
        (SYSTEM + USER + call("functions.f", "{"), ["undeclared-recipient", "arguments-not-json"]),
        (SYSTEM + USER + call("python", "print(", kind="code"), ["undeclared-recipient"]),
    ],
)
def test_calls_in_harmony_text_are_checked(
    text: str, codes: list[str], app: App, tmp_path: Path, capsys: Capture
) -> None:
    assert [f["code"] for f in lint_json(app, capsys, write(tmp_path, "a.txt", text))] == codes


@pytest.mark.parametrize("schema", get_args(SchemaMode))
def test_declarations_are_read_out_of_rendered_text(
    schema: SchemaMode, app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    parameters = {"type": "object", "properties": {"a": {"type": "array"}}}
    described = ToolSpec("g", "Does it.\n## really", parameters)
    text = ToolSpec("t", text_input=TextInput())
    functions = ToolNamespace("functions", tools=(ToolSpec("f"), described, text))
    system = SystemContent(tools=(ToolNamespace("python", "Run code."),))
    developer = DeveloperContent("Write `## mine` headings.\n\n## mine", (functions,))
    begun = (Message("system", system), Message("developer", developer), Message("user", "hi"))

    def codes(recipient: str) -> list[str]:
        said = Message("assistant", "{}", channel="commentary", recipient=recipient)
        ids = render_conversation(Conversation((*begun, said)), tok, schema=schema)
        return [f["code"] for f in lint_json(app, capsys, write(tmp_path, "ids.json", ids))]

    assert [codes(name) for name in ("functions.f", "functions.g", "functions.t", "python")] == [[]] * 4
    for name in ("functions.h", "browser.search", "mine", "really"):
        assert "undeclared-recipient" in codes(name)


@pytest.mark.parametrize(
    ("grammar", "codes"),
    [
        (None, []),
        ({"syntax": "regex", "definition": r"\*{3} .*"}, []),
        ({"syntax": "regex", "definition": "[0-9]+"}, ["input-grammar"]),
        ({"syntax": "lark", "definition": 'start: "***" /.*/'}, []),
        ({"syntax": "regex", "definition": "("}, ["bad-schema"]),
    ],
)
def test_text_tools_take_what_their_grammar_allows(
    grammar: dict[str, str] | None, codes: list[str], app: App, tmp_path: Path, capsys: Capture
) -> None:
    request = calling('{"city": "Busan"}')
    custom: dict[str, Any] = {"name": "patch"}
    if grammar is not None:
        custom["format"] = {"type": "grammar", "grammar": grammar}
    said = {"type": "custom", "id": "c1", "custom": {"name": "patch", "input": "*** not JSON"}}
    request["messages"][3] = {"role": "assistant", "tool_calls": [said]}
    request["tools"] = [{"type": "custom", "custom": custom}]
    assert [f["code"] for f in lint_json(app, capsys, write(tmp_path, "a.json", request))] == codes


STRICT: Mapping[str, str] = {
    "stale-analysis": USER + FINAL.replace("final", "analysis") + FINAL + USER + FINAL,
    "unanswered-call": USER + call("functions.f", "{}") + USER + FINAL,
    "result-without-call": USER
    + "<|start|>functions.f to=assistant<|channel|>commentary<|message|>1<|end|>"
    + FINAL,
    "no-final": USER + FINAL.replace("final", "commentary"),
    "return-in-history": USER + FINAL.replace("<|end|>", "<|return|>") + USER + FINAL,
}


@pytest.mark.parametrize("code", STRICT)
def test_strict_also_finds_what_is_well_formed_and_not_meant(
    code: str, app: App, tmp_path: Path, capsys: Capture
) -> None:
    path = write(tmp_path, "a.txt", STRICT[code])
    assert lint_json(app, capsys, path) == []
    assert code in [f["code"] for f in lint_json(app, capsys, "--strict", path)]


def test_strict_finds_ids_that_are_not_canonical(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    ids = ids_from_text(USER + FINAL, tok)
    at = ids.index(tok.encode("Hello")[0])
    odd = [*ids[:at], *tok.encode("Hel"), *tok.encode("lo"), *ids[at + 1 :]]
    assert tok.decode(odd) == tok.decode(ids)
    assert lint_json(app, capsys, "--strict", write(tmp_path, "a.json", ids)) == []
    found = lint_json(app, capsys, "--strict", write(tmp_path, "b.json", odd))
    assert [(f["code"], f["start"]) for f in found] == [("not-canonical", at)]


def test_rows_of_a_data_set_are_named_by_their_line(app: App, tmp_path: Path, capsys: Capture) -> None:
    rows = [
        json.dumps(calling('{"city": "Busan"}'), ensure_ascii=False),
        "",
        json.dumps({"text": TEXT}),
        json.dumps(calling('{"city": 3}')),
        json.dumps({"text": MALFORMED}),
        json.dumps({"prompt": "x"}),
        "{broken",
    ]
    path = write(tmp_path, "rows.jsonl", "\n".join(rows))
    found = lint_json(app, capsys, path)
    assert [(f["line"], f["code"]) for f in found if f["code"] != "unknown-channel"] == [
        (4, "arguments-schema"),
        (5, "unexpected-token"),
        (6, "unreadable"),
        (7, "unreadable"),
    ]
    assert {f["column"] for f in found} == {None}
    execute(["harmony", "lint", path], app)
    assert f"{path}:6: unreadable: " in capsys.readouterr().out


def test_rows_are_known_without_their_suffix(app: App, tmp_path: Path, capsys: Capture) -> None:
    row = json.dumps({"text": TEXT})
    assert execute(["harmony", "lint", write(tmp_path, "rows", f"{row}\n{row}\n")], app) == 0
    capsys.readouterr()
    pretty = json.dumps(calling('{"city": 3}'), indent=1)
    assert [f["line"] for f in lint_json(app, capsys, write(tmp_path, "one.json", pretty))] == [None]


def test_each_file_is_checked(app: App, tmp_path: Path, capsys: Capture) -> None:
    good, bad = write(tmp_path, "good", TEXT), write(tmp_path, "bad", "no conversation")
    found = lint_json(app, capsys, good, bad, good, bad)
    assert [(f["file"], f["code"]) for f in found] == [(bad, "unreadable")] * 2


def test_files_that_cannot_be_read_are_code_2(app: App, tmp_path: Path, capsys: Capture) -> None:
    assert execute(["harmony", "lint", str(tmp_path / "none")], app) == 2
    assert execute(["harmony", "lint", write(tmp_path, "x", b"{}\n\xff")], app) == 2
    assert "byte 0xff at offset 3" in capsys.readouterr().err
    assert execute(["harmony", "lint", "-", "-"], app) == 2
    assert execute(["harmony", "lint"], app) == 2


def test_standard_input_is_checked(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MALFORMED.encode())))
    assert execute(["harmony", "lint", "-"], app) == 1
    assert capsys.readouterr().out.startswith("-:2:")


def test_it_speaks_korean(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.json", calling('{"city": 3}', tools=False) | {"tools": [WEATHER]})
    assert execute(["harmony", "lint", path], App(replace(app.settings, lang="ko"))) == 1
    out, err = capsys.readouterr()
    assert "arguments-schema: 스키마에 맞지 않는 인자" in out
    assert "1곳을 찾았습니다" in err


@pytest.mark.parametrize("code", get_args(Code))
def test_every_diagnostic_is_explained_in_both_languages(code: str) -> None:
    assert meaning(code) is not None
