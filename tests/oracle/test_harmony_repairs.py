"""The malformed shapes beside openai-harmony 0.0.8: what it refuses, and where it reads them otherwise."""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import openai_harmony as reference
import pytest

from ossia.tokenizer import load_o200k_harmony

GOLDEN = Path(__file__).parents[1] / "golden"
SHAPES: list[dict[str, Any]] = json.loads((GOLDEN / "harmony_malformed.json").read_text())
TOK = load_o200k_harmony()
FIELDS = ("role", "name", "channel", "recipient", "content_type")


@pytest.fixture(scope="module")
def encoding() -> reference.HarmonyEncoding:
    return runpy.run_path(str(GOLDEN / "make_words.py"))["load_reference"]()


def to_ids(text: str) -> list[int]:
    ids: list[int] = []
    for part in re.split(r"(\[\[<\|\w+\|>\]\]|<\|\w+\|>)", text):
        special = TOK.special_tokens.get(part)
        ids += (
            [special] if special is not None else TOK.encode(part[2:-2] if part.startswith("[[<|") else part)
        )
    return ids


def verdict(encoding: Any, shape: dict[str, Any]) -> str:
    try:
        messages = encoding.parse_messages_from_completion_tokens(
            to_ids(shape["text"]), reference.Role.ASSISTANT
        )
    except reference.HarmonyError:
        return "refuses"
    theirs = [
        (m.author.role.value, m.author.name, m.channel, m.recipient, m.content_type, m.content[0].text)
        for m in messages
    ]
    ours = [
        tuple(({"role": "assistant"} | said).get(field) for field in (*FIELDS, "text"))
        for said in shape["messages"]
    ]
    return "alike" if theirs == ours else "otherwise"


@pytest.mark.parametrize("shape", SHAPES, ids=[shape["id"] for shape in SHAPES])
def test_what_the_reference_makes_of_it(encoding: Any, shape: dict[str, Any]) -> None:
    assert verdict(encoding, shape) == shape["reference"]


def test_what_needs_no_mending_is_read_alike_or_better() -> None:
    """Where Ossia sees nothing to mend and the reference reads something else, the reference is wrong."""
    otherwise = {shape["id"] for shape in SHAPES if not shape["codes"] and shape["reference"] == "otherwise"}
    assert otherwise == {
        "recipient-glued-to-channel",  # its channel is "commentaryto=functions.x"
        "constrain-without-recipient",  # its recipient is "<|constrain|>json"
        "start-repeats-the-prompt",  # its recipient is "<|start|>assistant"
        "endoftext-for-return",  # its text ends in "<|endoftext|>"
    }
