"""``ossia harmony show``: every form of input, malformed input, loss masks, JSON, Korean."""

import io
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.agent.card import opening
from ossia.agent.saved import SavedChat, chat_to_dict
from ossia.cli.answer.opening import Wishes, new_chat
from ossia.cli.app import App
from ossia.cli.harmony.paint import Painter
from ossia.cli.harmony.reading import read_tokens
from ossia.cli.harmony.source import open_vocabulary
from ossia.cli.main import execute
from ossia.harmony.formats.chat import conversation_from_chat
from ossia.harmony.formats.responses import conversation_from_response
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.messages import Message, user
from ossia.harmony.render import render_conversation
from ossia.harmony.training import training_examples
from ossia.hub.card import card_of
from ossia.hub.sources import locate
from ossia.model.config import load_config
from ossia.tokenizer import Tokenizer, load_o200k_harmony

from ..hub.tiny import write_checkpoint  # noqa: TID252  (a test is no package to be imported by name)
from .conftest import SUBTRACTION, Scripted
from .harmony_inputs import MALFORMED, RESPONSE, TEXT, WEATHER, calling, write

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def tiny_model(tmp_path: Path) -> Path:
    """A model's folder with a vocabulary of its own."""
    return write_checkpoint(tmp_path / "tiny")


def show_json(path: str, app: App, capsys: Capture, *options: str) -> dict[str, Any]:
    assert execute(["harmony", "show", "--json", *options, path], app) == 0
    return json.loads(capsys.readouterr().out)


def ids_in(shown: dict[str, Any]) -> list[int]:
    return [token["id"] for token in shown["tokens"]]


def test_every_token_is_shown_with_its_message_and_boundaries(
    app: App, tmp_path: Path, capsys: Capture
) -> None:
    path = write(tmp_path, "a.txt", TEXT + "\n")
    assert execute(["harmony", "show", path], app) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path}: Harmony text, o200k_harmony, 45 tokens, 4 messages\n")
    assert "── 2 assistant · analysis · 8 tokens\n<|start|>·assistant·<|channel|>·analysis·<|message|>" in out
    assert "·?↵\n그리고·⟨20 eb⟩·⟨b7⟩·⟨81⟩·은·?·<|end|>\n" in out
    assert "malformed" not in out
    assert [line.split() for line in out.splitlines()[-5:]] == [
        ["system", "1", "8"],
        ["user", "1", "18"],
        ["assistant", "analysis", "1", "8"],
        ["assistant", "final", "1", "11"],
        ["total", "4", "45"],
    ]


def test_text_that_looks_like_a_control_token_is_told_apart(
    app: App, tmp_path: Path, capsys: Capture
) -> None:
    path = write(tmp_path, "a.json", [{"role": "user", "content": "say <|end|> now"}])
    execute(["harmony", "show", path], app)
    assert "say· <·|·end·|·>· now·<|end|>" in capsys.readouterr().out


def test_what_is_malformed_is_named_with_its_tokens(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.txt", MALFORMED)
    assert execute(["harmony", "show", path], app) == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("malformed: 2")
    codes = {line.split()[1] for line in lines[at + 1 : at + 3]}
    assert codes == {"unknown-channel", "unexpected-token"}
    assert any("thoughts" in line for line in lines[at + 1 : at + 3])


def test_an_answer_without_its_prompt_is_read_as_one(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.txt", "<|channel|>analysis<|message|>hm<|end|>")
    execute(["harmony", "show", path], app)
    out = capsys.readouterr().out
    assert "begins without <|start|>" in out
    assert "── 0 assistant · analysis" in out
    assert "malformed" not in out


def test_ids_are_written_under_their_tokens(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    ids = ids_from_text(TEXT, tok)
    execute(["harmony", "show", "--ids", write(tmp_path, "a.json", ids)], app)
    out = capsys.readouterr().out
    assert "token ids" in out.splitlines()[0]
    lines = out.splitlines()
    row = next(i for i, line in enumerate(lines) if line.startswith("<|start|> user"))
    words, numbers = lines[row], lines[row + 1]
    assert numbers.startswith("200006    1428 200008")
    assert words.index("<|message|>") == numbers.index("200008")
    assert "␣" in lines[row]
    printed = [int(word) for line in lines for word in line.split() if word.isdigit()]
    assert [n for n in printed if n in set(ids)][: len(ids)] == ids


@pytest.mark.parametrize("form", ["text", "ids", "chat", "responses"])
def test_json_holds_the_ids_that_ossia_would_render(
    form: str, app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    request = calling('{"city": "Busan"}')
    ids = ids_from_text(TEXT, tok)
    chat = conversation_from_chat(request["messages"], request["tools"])
    response = conversation_from_response(RESPONSE)
    content, expected = {
        "text": (TEXT, ids),
        "ids": (ids, ids),
        "chat": (request, render_conversation(chat, tok)),
        "responses": (RESPONSE, render_conversation(response, tok)),
    }[form]
    shown = show_json(write(tmp_path, "input", content), app, capsys)
    assert (shown["kind"], shown["vocabulary"], shown["diagnostics"]) == (form, "o200k_harmony", [])
    assert ids_in(shown) == expected
    assert shown["messages"][-1]["channel"] == "final"
    assert shown["messages"][-1]["end"] == len(expected)


def test_json_says_what_each_token_is(app: App, tmp_path: Path, capsys: Capture) -> None:
    tokens = show_json(write(tmp_path, "a.txt", TEXT), app, capsys)["tokens"]
    assert tokens[0] | {"id": 0} == {
        "id": 0, "text": "<|start|>", "part": "control", "message": 0, "role": "system", "channel": None,
    }  # fmt: skip
    assert [t["part"] for t in tokens[:4]] == ["control", "header", "control", "body"]
    halves = [t for t in tokens if t["text"] is None]
    assert b"".join(bytes(t["bytes"]) for t in halves).decode() == " 뷁"
    assert {(t["role"], t["channel"]) for t in tokens if t["message"] == 3} == {("assistant", "final")}


def test_a_saved_conversation_is_shown_as_its_chat_renders_it(
    scripted: Callable[..., Scripted], tmp_path: Path, capsys: Capture
) -> None:
    run = scripted(*SUBTRACTION)
    assert run.app.load is not None
    chat = new_chat(run.app.load(None, run.app.settings), Wishes(system="Be exact."), "low")
    chat.send("What is 12345 minus 678?")
    path = write(tmp_path, "saved.json", chat.to_dict())
    shown = show_json(path, App(run.app.settings), capsys)
    assert shown["kind"] == "saved"
    assert ids_in(shown) == render_conversation(chat.conversation, run.tok)


def test_tools_of_which_only_the_name_was_saved_are_named(app: App, tmp_path: Path, capsys: Capture) -> None:
    saved = SavedChat("pocket", "low", None, ("calculator", "launch"), (user("hi"),))
    execute(["harmony", "show", write(tmp_path, "saved.json", chat_to_dict(saved))], app)
    out = capsys.readouterr().out
    assert "not declared, as only their names were saved: launch\n" in out
    assert "calculator" in out


def test_a_saved_conversation_is_opened_as_the_hub_opens_it(app: App, tiny_model: Path) -> None:
    pocket = write_checkpoint(app.settings.data_dir / "models" / "pocket")
    for path in (tiny_model, pocket):
        app.extra["model"] = str(path) if path is tiny_model else "pocket"
        vocabulary = open_vocabulary(app)
        found = locate(app.extra["model"], app.settings)
        card = card_of(found, load_config(path), 4096)
        assert opening(vocabulary.card) == opening(card)
    assert "pocket" in (vocabulary.card.identity or "")


def test_the_model_a_conversation_was_held_with_is_named(app: App, tmp_path: Path, capsys: Capture) -> None:
    for model, told in (("pocket", True), ("openai/gpt-oss-20b", False)):
        saved = SavedChat(model, "low", None, (), (user("hi"),))
        execute(["harmony", "show", write(tmp_path, "saved.json", chat_to_dict(saved))], app)
        assert (f"held with {model}" in capsys.readouterr().out) is told


def test_showing_brings_no_numbers_and_no_engine() -> None:
    code = "import sys, ossia.cli.harmony.show, ossia.cli.harmony.diff\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("numpy", "llguidance", "jsonschema", "huggingface_hub", "ossia.engine", "ossia.kernels")
    assert not [name for name in run.stdout.split() if name.startswith(heavy)]


def test_dropped_analysis_is_counted_and_can_be_kept(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "chat.json", calling('{"city": "Busan"}'))
    execute(["harmony", "show", path], app)
    out = capsys.readouterr().out
    assert "3 messages of analysis from finished turns are dropped" in out
    assert "Greet" not in out
    shown = show_json(path, app, capsys, "--no-drop-analysis")
    assert [m["text"] for m in shown["messages"] if m["channel"] == "analysis"] == [
        "Greet.",
        "Call.",
        "Tell.",
    ]


def test_the_mask_shows_each_training_example(
    app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer
) -> None:
    request = calling('{"city": "Busan"}')
    path = write(tmp_path, "chat.json", request)
    examples = training_examples(conversation_from_chat(request["messages"], request["tools"]), tok)
    shown = show_json(path, app, capsys, "--mask")["examples"]
    assert [ids_in(example) for example in shown] == [example.input_ids for example in examples]
    learnt = [[t["id"] if t["learnt"] else -100 for t in example["tokens"]] for example in shown]
    assert learnt == [example.labels for example in examples]


def test_without_colour_what_is_learnt_stands_in_brackets(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "chat.json", calling('{"city": "Busan"}'))
    assert execute(["harmony", "show", "--mask", path], app) == 0
    out = capsys.readouterr().out
    assert "<|start|>·assistant·⟦<|channel|>·analysis·<|message|>·G·reet·.·<|end|>⟧" in out
    assert "example 1 of 2" in out
    assert "… 3 messages as in the example before" in out
    assert "<|message|>·sun·ny·<|end|>" in out  # a tool's result is context
    assert out.splitlines()[-1].split()[0] == "total"


def test_the_mask_marks_ids_from_below(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.txt", TEXT)
    execute(["harmony", "show", "--mask", "--ids", path], app)
    lines = capsys.readouterr().out.splitlines()
    assert all(set(line) <= {"▁", " "} for line in lines if "▁" in line)
    assert sum("▁" in line for line in lines) == 2


def test_a_line_of_a_data_set_is_shown(app: App, tmp_path: Path, capsys: Capture, tok: Tokenizer) -> None:
    rows = [json.dumps(calling('{"city": "Busan"}')), "", json.dumps({"text": TEXT})]
    path = write(tmp_path, "rows.jsonl", "\n".join(rows))
    assert ids_in(show_json(path, app, capsys, "--row", "3")) == ids_from_text(TEXT, tok)
    assert execute(["harmony", "show", "--row", "2", path], app) == 2
    assert "is empty" in capsys.readouterr().err
    for argv in ([], ["--row", "4"]):
        assert execute(["harmony", "show", *argv, path], app) == 2
        err = capsys.readouterr().err
        assert "a data set of 3 lines" in err
        assert "--row" in err
    write(tmp_path, "odd.jsonl", b'{"text": "x"}\n\xff')
    execute(["harmony", "show", "--row", "2", str(tmp_path / "odd.jsonl")], app)
    assert "byte 0xff at offset 14" in capsys.readouterr().err


def test_a_mask_needs_an_answer(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.json", [{"role": "user", "content": "hi"}])
    assert execute(["harmony", "show", "--mask", path], app) == 2
    assert "the assistant says nothing" in capsys.readouterr().err


def test_standard_input_is_read(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf" + TEXT.encode())))
    assert execute(["harmony", "show", "-"], app) == 0
    assert capsys.readouterr().out.startswith("-: Harmony text")


def test_it_speaks_korean(app: App, tmp_path: Path, capsys: Capture) -> None:
    app = App(replace(app.settings, lang="ko"))
    execute(["harmony", "show", write(tmp_path, "a.txt", MALFORMED)], app)
    out = capsys.readouterr().out
    assert "Harmony 텍스트" in out
    assert "잘못된 곳: 2" in out
    assert "없는 채널" in out
    assert "합계" in out


def test_control_characters_never_reach_the_screen(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.txt", TEXT.replace("Easy", "\x1b[2J\x00\r\t"))
    execute(["harmony", "show", path], app)
    out = capsys.readouterr().out
    assert not {"\x1b", "\x00", "\r", "\t"} & set(out)
    assert "␛" in out


def test_ids_outside_the_vocabulary_are_shown_and_reported(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.json", [200006, 1428, 200008, 999_999_999, -5, 200007])
    assert execute(["harmony", "show", path], app) == 0
    out = capsys.readouterr().out
    assert "⟨999999999?⟩·⟨-5?⟩" in out
    assert "unexpected-token" in out
    tokens = show_json(path, app, capsys)["tokens"]
    assert (tokens[3]["text"], tokens[3]["bytes"], tokens[3]["part"]) == (None, None, "outside")


BAD: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t\n",
    "prose": b"just some text",
    "broken-json": b'{"messages": [',
    "nested": b"[" * 100_000,
    "number": b"42",
    "mixed-list": b'[1, "two"]',
    "wrong-role": b'[{"role": "king", "content": "x"}]',
    "not-utf8": "<|start|>user<|message|>caf\xe9<|end|>".encode("latin-1"),
    "wrong-version": b'{"format": "ossia-conversation", "version": 99}',
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", [["show"], ["show", "--mask"], ["diff", "--canonical"]])
def test_unusable_input_is_a_typed_error_with_a_remedy(
    name: str, command: list[str], app: App, tmp_path: Path, capsys: Capture
) -> None:
    path = write(tmp_path, name, BAD[name])
    assert execute(["harmony", *command, path], app) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert "fault in Ossia" not in err
    assert "remedy: " in err


def test_the_byte_that_is_not_utf8_is_named(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "x", BAD["not-utf8"])
    execute(["harmony", "show", path], app)
    assert "byte 0xe9 at offset 27" in capsys.readouterr().err


def test_a_missing_file_and_a_folder_are_typed_errors(app: App, tmp_path: Path, capsys: Capture) -> None:
    for path in (tmp_path / "none.txt", tmp_path):
        assert execute(["harmony", "show", str(path)], app) == 2
        err = capsys.readouterr().err
        assert str(path) in err
        assert "remedy: " in err


def test_a_model_that_is_not_here_is_code_3(app: App, tmp_path: Path, capsys: Capture) -> None:
    path = write(tmp_path, "a.txt", TEXT)
    assert execute(["harmony", "show", "-m", "openai/gpt-oss-20b", path], app) == 3
    assert "ossia pull" in capsys.readouterr().err


def test_another_vocabulary_is_used_when_asked_for(
    app: App, tmp_path: Path, capsys: Capture, tiny_model: Path
) -> None:
    path = write(tmp_path, "a.txt", "<|start|>user<|message|>hello<|end|>")
    shown = show_json(path, app, capsys, "-m", str(tiny_model))
    assert shown["vocabulary"] != "o200k_harmony"
    assert [m["text"] for m in shown["messages"]] == ["hello"]
    assert max(ids_in(shown)) < 60_000
    saved = SavedChat("tiny", "low", None, (), (user("hi"), Message("assistant", "Hello!", channel="final")))
    shown = show_json(write(tmp_path, "s.json", chat_to_dict(saved)), app, capsys, "-m", str(tiny_model))
    assert "ChatGPT" not in shown["messages"][0]["text"]  # another vocabulary: no model of OpenAI's


def test_a_large_input_is_shown_whole(app: App, tmp_path: Path, capsys: Capture) -> None:
    words = "hello " * 20_000
    path = write(tmp_path, "a.json", [{"role": "user", "content": words}])
    assert execute(["harmony", "show", path], app) == 0
    out = capsys.readouterr().out
    assert out.count("hello") == 20_000


def test_the_schema_mode_reaches_the_rendering(app: App, tmp_path: Path, capsys: Capture) -> None:
    tool = json.loads(json.dumps(WEATHER))
    tool["function"]["parameters"]["properties"]["unit"] = {"const": "C"}
    path = write(tmp_path, "a.json", {"messages": [{"role": "user", "content": "x"}], "tools": [tool]})
    compat, full = (ids_in(show_json(path, app, capsys, "--schema", mode)) for mode in ("compat", "full"))
    assert compat != full
    assert full == ids_in(show_json(path, app, capsys))


SCRAPS = st.one_of(
    st.sampled_from(
        [200006, 200005, 200008, 200007, 200003, 200012, 200002, 173781, 17196, 35644, 1428, 316, 28]
    ),
    st.integers(-2, 201_100),
)


@given(st.lists(SCRAPS, max_size=60), st.booleans())
def test_any_ids_are_read_and_painted_whole(ids: list[int], colour: bool) -> None:
    labels = [i if at % 3 else -100 for at, i in enumerate(ids)]
    reading = read_tokens(ids, load_o200k_harmony(), labels)
    assert reading.ids == ids
    assert [token.index for token in reading.tokens] == list(range(len(ids)))
    painter = Painter(reading, colour)
    under = [line.plain for line in painter.grid(reading.tokens, 60)]
    assert (
        sum(len(line.split()) for line in under if set(line) <= set("-0123456789 ")) >= len(ids) > 0
        or not ids
    )
    assert "".join(line.plain for line in painter.flow(reading.tokens)).count("<|start|>") == ids.count(
        200006
    )
