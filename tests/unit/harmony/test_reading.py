"""A header's words, apart from tokens: what each section may hold, and that nothing is too odd to read."""

import random

import pytest

from ossia.harmony.header import Header
from ossia.harmony.messages import Role
from ossia.harmony.reading import Section, read_header, stripped_messages

Sections = list[tuple[Section, str]]


def read(*sections: tuple[Section, str], role: Role | None = "assistant", whole: bool = True) -> Header:
    return read_header(list(sections), role, sampled=True, whole=whole)


@pytest.mark.parametrize(
    ("word", "channel", "code"),
    [
        ("final", "final", None),
        ("Final", "final", "garbled-channel"),
        ("finalx", "final", "garbled-channel"),
        ("––analysis", "analysis", "garbled-channel"),
        ("analysisfinal", "analysis", "garbled-channel"),
        ("musings", "musings", "unknown-channel"),
        ("", None, "missing-channel"),
    ],
)
def test_channels(word: str, channel: str | None, code: str | None) -> None:
    header = read(("channel", word))
    assert header.channel == channel
    assert [said for said, _ in header.notes] == ([] if code is None else [code])


@pytest.mark.parametrize(
    "text", ["to=python", " to= python", "to =python", "\n to\t=\n python ", "to=python to=python"]
)
def test_recipients(text: str) -> None:
    header = read(("channel", f"analysis {text}"))
    assert (header.recipient, header.recipient_in) == ("python", "channel")


def test_what_was_assumed_is_said() -> None:
    notes = dict(read(("channel", "––commentary to=functions.x to=functions.y ??")).notes)
    assert notes == {
        "garbled-channel": "––commentary",
        "repeated-recipient": "functions.y",
        "header-words": "??",
    }


@pytest.mark.parametrize(
    ("sections", "rest"),
    [
        ([("author", "Hello there")], "Hello there"),
        ([("author", "user said hi")], "user said hi"),
        ([("author", "assistant Hello")], "Hello"),
        ([("channel", "final It is 4.")], "It is 4."),
        ([("channel", "finally")], "ly"),
        ([("channel", "We need to look")], "We need to look"),
        ([("channel", "musings")], ""),
        ([("channel", "commentary to=functions.x json{}")], "{}"),
        ([("channel", "commentary to=functions.x jsonify it")], "jsonify it"),
        ([("channel", "commentary"), ("constrain", "json {}")], "{}"),
    ],
)
def test_where_a_body_begins_that_has_no_marker(sections: Sections, rest: str) -> None:
    assert read(*sections, whole=False).rest == rest


def test_markers_dropped_and_names_kept() -> None:
    assert stripped_messages("analysisHm. assistantcommentaryLook!assistantfinalfour") == [
        (0, "analysis", "Hm. "),
        (12, "commentary", "Look!"),
        (36, "final", "four"),
    ]
    for text in ("analysis of it", "analysisHm.", "the assistantfinal word", "Hi. assistantfinal", ""):
        assert stripped_messages(text) == []


def test_nothing_is_too_odd_to_read() -> None:
    rng = random.Random(3)
    words = [
        "to=",
        "=",
        "assistant",
        "final",
        "<|channel|>",
        "<|message|>",
        "functions.x",
        ":",
        "\ud800",
        "\x00",
        "é",
        " ",
    ]
    for _ in range(3_000):
        sections: Sections = [
            (rng.choice(["author", "channel", "constrain"]), "".join(rng.choices(words, k=rng.randrange(8))))
            for _ in range(rng.randrange(5))
        ]
        header = read_header(
            sections,
            rng.choice([None, "assistant", "user"]),
            sampled=rng.random() < 0.5,
            whole=rng.random() < 0.5,
        )
        message = header.message(header.rest)
        for word in (message.name, message.channel, message.recipient):
            assert word is None or (word and not set(word) & set(" <>|=\x00\ud800")), sections
