"""``ossia harmony diff``: where renderings part, and the exit code."""

import io
import json
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.cli.app import App
from ossia.cli.harmony.diff import changes
from ossia.cli.main import execute
from ossia.harmony.formats.chat import conversation_from_chat
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.render import render_conversation
from ossia.tokenizer import Tokenizer

from .harmony_inputs import TEXT, calling, write

Capture = pytest.CaptureFixture[str]
FEW = st.lists(st.integers(0, 3), max_size=30)


def diff_json(app: App, capsys: Capture, *argv: str) -> dict[str, Any]:
    code = execute(["harmony", "diff", "--json", *argv], app)
    found = json.loads(capsys.readouterr().out)
    assert code == (0 if found["equal"] else 1)
    return found


def patched(a: list[int], found: dict[str, Any]) -> list[int]:
    """`a` with the changes made."""
    result: list[int] = []
    at = 0
    for change in found["changes"]:
        assert [t["id"] for t in change["a"]["tokens"]] == a[change["a"]["start"] : change["a"]["end"]]
        result += a[at : change["a"]["start"]] + [t["id"] for t in change["b"]["tokens"]]
        at = change["a"]["end"]
    return result + a[at:]


def test_the_same_ids_in_two_forms_are_equal(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    text, ids = write(tmp_path, "a.txt", TEXT), write(tmp_path, "b.json", ids_from_text(TEXT, tok))
    assert execute(["harmony", "diff", text, ids], app) == 0
    assert capsys.readouterr().out == "equal: 45 tokens\n"


def test_the_first_difference_and_every_change_are_shown(app: App, tmp_path: Path, capsys: Capture) -> None:
    a = write(tmp_path, "a.txt", TEXT)
    b = write(tmp_path, "b.txt", TEXT.replace("Easy", "Hard").replace("<|return|>", "<|end|>"))
    assert execute(["harmony", "diff", "--context", "2", a, b], app) == 1
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[:2] == [f"--- {a} (45)", f"+++ {b} (45)"]
    assert lines[2] == "first difference at token 31, in message 2 (assistant analysis)"
    rows = [line.split() for line in lines[4:] if line]
    signs = "".join(row[0] if row[0] in "+-" else " " for row in rows)
    assert signs.startswith("  -+  ")
    assert ["-", "44", "200002", "<|return|>"] in rows
    assert ["+", "44", "200007", "<|end|>"] in rows
    assert lines[-1] == "2 tokens only in A, 2 only in B"


def test_json_holds_changes_that_turn_one_into_the_other(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    other = TEXT.replace("Easy.", "Well, that is easy.").replace("You are helpful.", "")
    a, b = ids_from_text(TEXT, tok), ids_from_text(other, tok)
    found = diff_json(app, capsys, write(tmp_path, "a.txt", TEXT), write(tmp_path, "b.txt", other))
    assert patched(a, found) == b
    assert found["first"] == {"a": 3, "b": 3}
    assert (found["a"]["tokens"], found["b"]["tokens"]) == (len(a), len(b))


def test_one_input_is_compared_with_itself_rendered_otherwise(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    request = calling('{"city": "Busan"}')
    path = write(tmp_path, "chat.json", request)
    conversation = conversation_from_chat(request["messages"], request["tools"])
    dropped = render_conversation(conversation, tok)
    kept = render_conversation(conversation, tok, drop_analysis=False)
    found = diff_json(app, capsys, "--no-drop-analysis", path)
    assert patched(dropped, found) == kept
    assert len(kept) > len(dropped)
    assert found["b"]["name"].endswith("rendered with --no-drop-analysis")


def test_canonical_shows_where_sampled_ids_differ(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    ids = ids_from_text(TEXT.replace("<|return|>", "<|end|>"), tok)
    at = ids.index(tok.encode("Easy")[0])
    odd = [*ids[:at], *tok.encode("E"), *tok.encode("asy"), *ids[at + 1 :]]
    path = write(tmp_path, "odd.json", odd)
    found = diff_json(app, capsys, "--canonical", "--no-drop-analysis", path)
    assert [t["id"] for t in found["changes"][0]["a"]["tokens"]] == odd[at : at + 2]
    assert patched(odd, found) == ids
    even = write(tmp_path, "even.json", ids)
    assert diff_json(app, capsys, "--canonical", "--no-drop-analysis", even)["equal"]


def test_an_answer_stays_one_when_it_is_rendered_anew(app: App, tmp_path: Path, capsys: Capture) -> None:
    answer = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|end|>"
    path = write(tmp_path, "answer.txt", answer)
    assert diff_json(app, capsys, "--canonical", "--no-drop-analysis", path)["equal"]


def test_options_hold_for_both_of_two_inputs(app: App, tmp_path: Path, capsys: Capture) -> None:
    a = write(tmp_path, "a.json", calling('{"city": "Busan"}'))
    b = write(tmp_path, "b.json", calling('{"city": "Busan"}'))
    assert diff_json(app, capsys, "--no-drop-analysis", "--schema", "full", a, b)["equal"]


def test_something_to_compare_with_is_needed(app: App, tmp_path: Path, capsys: Capture) -> None:
    assert execute(["harmony", "diff", write(tmp_path, "a.txt", TEXT)], app) == 2
    err = capsys.readouterr().err
    assert "there is nothing to compare" in err
    assert "--canonical" in err
    assert execute(["harmony", "diff", "-", "-"], app) == 2


def test_standard_input_is_one_side(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert execute(["harmony", "diff", write(tmp_path, "a.txt", TEXT), "-"], app) == 0
    assert capsys.readouterr().out.startswith("equal")


def test_a_side_that_ends_earlier_is_shown_to_its_end(app: App, tmp_path: Path, capsys: Capture) -> None:
    a = write(tmp_path, "a.json", [200006, 1428, 200008, 200007])
    b = write(tmp_path, "b.json", [200006, 1428, 200008])
    assert execute(["harmony", "diff", "--context", "0", a, b], app) == 1
    out = capsys.readouterr().out
    assert "first difference at token 3, in message 0 (user)" in out
    assert "-  3    200007  <|end|>" in out


def test_it_speaks_korean(app: App, tmp_path: Path, capsys: Capture) -> None:
    app = App(replace(app.settings, lang="ko"))
    a, b = write(tmp_path, "a.txt", TEXT), write(tmp_path, "b.txt", TEXT.replace("Easy", "Hard"))
    execute(["harmony", "diff", a, b], app)
    out = capsys.readouterr().out
    assert "첫 차이는 토큰 31" in out
    assert "A에만 있는 토큰 1개" in out


@given(FEW, FEW)
def test_changes_turn_a_into_b(a: list[int], b: list[int]) -> None:
    result: list[int] = []
    at = 0
    for a0, a1, b0, b1 in changes(a, b):
        assert a0 < a1 or b0 < b1
        result += a[at:a0] + b[b0:b1]
        at = a1
    assert result + a[at:] == b
    assert (changes(a, b) == []) == (a == b)


def test_long_inputs_are_compared(app: App, tmp_path: Path, capsys: Capture) -> None:
    draw = random.Random(5)
    a = [draw.randrange(1000) for _ in range(20_000)]
    b = [i for i in a if i % 100]
    found = diff_json(app, capsys, write(tmp_path, "a.json", a), write(tmp_path, "b.json", b))
    assert patched(a, found) == b
