"""Harmony text: the one place where text becomes control tokens."""

from pathlib import Path

import pytest

from ossia.harmony.formats.text import has_markers, ids_from_text, text_from_ids
from ossia.harmony.messages import Conversation, Message, SystemContent, user
from ossia.harmony.render import render_conversation
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"


@pytest.fixture(scope="module", params=["o200k_harmony", "checkpoint"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return load_o200k_harmony() if request.param == "o200k_harmony" else load_checkpoint_tokenizer(TINY)


def test_text_of_a_rendering_reads_back(tok: Tokenizer) -> None:
    messages = (
        Message("system", SystemContent()),
        user("한국어 👩‍🚀\n"),
        Message("assistant", "", channel="final"),
    )
    ids = render_conversation(Conversation(messages), tok, completion=True)
    text = text_from_ids(ids, tok)
    assert text.startswith("<|start|>system<|message|>You are ChatGPT")
    assert text_from_ids(ids_from_text(text, tok), tok) == text
    assert [i for i in ids_from_text(text, tok) if i in tok.special_tokens.values()] == [
        i for i in ids if i in tok.special_tokens.values()
    ]


def test_markers_are_control_tokens_and_the_rest_is_text(tok: Tokenizer) -> None:
    marks = tok.markers
    assert ids_from_text("<|start|>a<|end|><|end|>", tok) == [
        marks.start,
        *tok.encode("a"),
        marks.end,
        marks.end,
    ]
    for text in ("<|nothing|>", "<|start|", "< |start|>", "<||>", "", "<|START|>"):
        assert ids_from_text(text, tok) == tok.encode(text)
        assert not has_markers(text, tok)
    assert has_markers("x<|call|>", tok)


def test_both_names_of_one_token() -> None:
    tok = load_o200k_harmony()
    assert ids_from_text("<|endofprompt|><|reserved_200018|><|reserved_201087|>", tok) == [
        200018,
        200018,
        201087,
    ]
