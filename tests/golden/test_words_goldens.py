"""The words tower against what openai-harmony 0.0.8 gave, kept in files (`make_words.py`)."""

from collections.abc import Callable
from typing import Any

from ossia.harmony import Conversation, parse, render_conversation
from ossia.tokenizer import load_o200k_harmony

Golden = Callable[[str], dict[str, Any]]


def test_texts_encode_to_the_reference_ids(words_cases: dict[str, Any], golden: Golden) -> None:
    tok = load_o200k_harmony()
    expected = golden("tokenizer_ids.json")
    assert len(words_cases["LANGUAGES"]) >= 20
    assert {name: tok.encode(text) for name, text in words_cases["TEXTS"].items()} == expected


def test_reference_ids_decode_to_the_texts(words_cases: dict[str, Any], golden: Golden) -> None:
    tok = load_o200k_harmony()
    decoded = {name: tok.decode(ids) for name, ids in golden("tokenizer_ids.json").items()}
    assert decoded == words_cases["TEXTS"]


def test_conversations_render_to_the_reference_ids(words_cases: dict[str, Any], golden: Golden) -> None:
    tok = load_o200k_harmony()
    expected = golden("harmony_rendered.json")
    assert expected.keys() == words_cases["CONVERSATIONS"].keys()
    for name, conversation in words_cases["CONVERSATIONS"].items():
        ids = render_conversation(conversation, tok)
        assert tok.decode(ids) == tok.decode(expected[name]), name  # read this one when it fails
        assert ids == expected[name], name


def test_rendered_conversations_parse_to_the_reference_messages(golden: Golden) -> None:
    tok = load_o200k_harmony()
    unread = []
    for name, messages in golden("harmony_parsed.json").items():
        if messages is None:
            unread.append(name)
            continue
        ours, _ = parse(golden("harmony_rendered.json")[name], tok)
        fields = ("role", "name", "channel", "recipient", "content_type", "text")
        assert [{field: getattr(m, field) for field in fields} for m in ours] == messages, name
    assert unread == ["names"]  # the reference cannot read an author's name back; Ossia can


def test_rendered_conversations_parse_without_a_diagnostic(words_cases: dict[str, Any]) -> None:
    tok = load_o200k_harmony()
    for name, conversation in words_cases["CONVERSATIONS"].items():
        ids = render_conversation(conversation, tok)
        messages, notes = parse(ids, tok)
        assert not notes, name
        assert render_conversation(Conversation(tuple(messages)), tok, drop_analysis=False) == ids, name
