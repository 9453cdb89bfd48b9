"""Every malformed shape that was found in public threads, and the right reading of each.

The shapes are data (`tests/golden/harmony_malformed.json`), written down before the parser could read them;
`docs/harmony-repairs.md` shows the same table.
"""

import json
import re
import runpy
from pathlib import Path
from typing import Any, get_args

import pytest

from ossia.errors import HarmonyError
from ossia.harmony.events import Code, Diagnostic, ParseEvent
from ossia.harmony.messages import Message
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import render_message
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
SHAPES: list[dict[str, Any]] = json.loads((GOLDEN / "harmony_malformed.json").read_text())
NAMES = [shape["id"] for shape in SHAPES]
O200K = load_o200k_harmony()


@pytest.fixture(scope="module", params=["o200k_harmony", "checkpoint"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return (
        O200K
        if request.param == "o200k_harmony"
        else load_checkpoint_tokenizer(GOLDEN / "tokenizer_tiny.json")
    )


def to_ids(text: str, tok: Tokenizer) -> list[int]:
    """Ids of a shape: names of control tokens are control tokens, between [[ and ]] they are text.

    A reserved token that a vocabulary lacks is an id outside it.
    """
    ids: list[int] = []
    for part in re.split(r"(\[\[<\|\w+\|>\]\]|<\|\w+\|>)", text):
        if part in O200K.special_tokens:
            ids.append(tok.special_tokens.get(part, tok.vocab_size))
        else:
            ids += tok.encode(part[2:-2] if part.startswith("[[<|") else part)
    return ids


def run(
    shape: dict[str, Any], tok: Tokenizer, *, strict: bool = False
) -> tuple[StreamParser, list[ParseEvent]]:
    parser = StreamParser(tok, strict=strict)
    events = [event for i in to_ids(shape["text"], tok) for event in parser.feed(i)]
    return parser, events + parser.finish()


def messages_of(shape: dict[str, Any]) -> list[Message]:
    return [
        Message(
            **(
                {"role": "assistant", "content": said["text"]}
                | {k: v for k, v in said.items() if k != "text"}
            )
        )
        for said in shape["messages"]
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_right_reading(tok: Tokenizer, shape: dict[str, Any]) -> None:
    parser, events = run(shape, tok)
    assert list(parser.messages) == messages_of(shape)
    assert [event.code for event in events if isinstance(event, Diagnostic)] == shape["codes"]


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_every_token_is_in_one_span_and_every_message_can_be_rendered(
    tok: Tokenizer, shape: dict[str, Any]
) -> None:
    parser, events = run(shape, tok)
    ids = to_ids(shape["text"], tok)
    ends = [span.end for span in parser.spans]
    assert [span.start for span in parser.spans] == [0, *ends][: len(ends)]
    assert (ends[-1] if ends else 0) == len(ids)
    for message in parser.messages:
        again, _ = parse(render_message(message, tok), tok)
        assert again == [message]
    for note in events:
        assert not isinstance(note, Diagnostic) or 0 <= note.start < note.end <= len(ids)


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_strict_refuses_what_was_mended(tok: Tokenizer, shape: dict[str, Any]) -> None:
    if not shape["codes"]:
        parser, _ = run(shape, tok, strict=True)
        assert list(parser.messages) == messages_of(shape)
        return
    with pytest.raises(HarmonyError) as error:
        run(shape, tok, strict=True)
    note = error.value.value
    assert isinstance(note, Diagnostic)
    assert note.code == shape["codes"][0]
    assert note.code in str(error.value)
    assert str(note.start) in str(error.value)
    assert error.value.remedy


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_messages_read_without_a_diagnostic_remember_their_ids(tok: Tokenizer, shape: dict[str, Any]) -> None:
    """All do where nothing was mended; together they are the ids that were fed."""
    if shape["codes"]:
        return
    parser, _ = run(shape, tok)
    ids = [i for message in parser.messages for i in render_message(message, tok, as_read=True)]
    fed = to_ids(shape["text"], tok)
    assert ids[len(ids) - len(fed) :] == fed


def test_analysis_is_never_final_and_no_final_is_lost() -> None:
    """The table itself keeps the promises: labels in the text that stand for a channel are in the reading."""
    for shape in SHAPES:
        finals = [said for said in shape["messages"] if said.get("channel") == "final"]
        assert len(finals) == len(re.findall(r"<\|channel\|>Final|final(?!ly)", shape["text"])), shape["id"]
        assert "analysis" not in shape["text"] or not any("hm" in said["text"] for said in finals), shape[
            "id"
        ]


def test_all_shapes_are_in_the_documentation() -> None:
    """Made by `tests/golden/make_repairs.py`."""
    maker = runpy.run_path(str(GOLDEN / "make_repairs.py"))
    assert (ROOT / "docs" / "harmony-repairs.md").read_text() == maker["page"](SHAPES)
    assert tuple(maker["MEANINGS"]) == get_args(Code)
    assert {code for shape in SHAPES for code in shape["codes"]} == set(get_args(Code))
    assert len(SHAPES) >= 60
    assert len(set(NAMES)) == len(NAMES)
