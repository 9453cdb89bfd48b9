"""200,000 tokens of mutated and random Harmony: the parser's promises hold whatever it is fed."""

import random
from collections.abc import Sequence

import pytest

from ossia.harmony import (
    ContentDelta,
    Diagnostic,
    MessageEnded,
    MessageStarted,
    ParseEvent,
    Role,
    StreamParser,
    render_message,
)
from ossia.tokenizer import load_o200k_harmony

TOKENS = 200_000
TOK = load_o200k_harmony()
MARKS = TOK.markers
CONTROL = [getattr(MARKS, name) for name in MARKS.__slots__]
WORDS = [
    *(
        "assistant",
        "user",
        "functions.x to=assistant",
        "functions.x",
        " to=functions.get",
        " to=",
        " python",
        "asistant",
    ),
    *(
        "analysis",
        "commentary",
        "final",
        "analysiss",
        " json",
        "json",
        " <|constrain|>json",
        "finalto=functions.x",
    ),
    *(
        " thinking",
        " answer",
        " 안녕",
        "🫠",
        "<|end|>",
        '{"a": 1}',
        "\n\n",
        " ",
        "é",
        "漢字",
        "=",
        "<",
        "tool:x",
        "user:y",
    ),
]
PIECES = [TOK.encode(word) for word in WORDS]
LABELS = {tuple(TOK.encode(label)): label for label in ("analysis", "final")}
assert all(len(label) == 1 for label in LABELS)


def message(rng: random.Random) -> list[int]:
    """One message in a form that models use."""
    channel = rng.choice(["analysis", "commentary", "final"])
    to = TOK.encode(" to=functions.x") if rng.random() < 0.4 else []
    constrain = [*TOK.encode(" "), MARKS.constrain, *TOK.encode("json")] if rng.random() < 0.4 else []
    before, after = (to, []) if rng.random() < 0.5 else ([], to)
    body = [i for _ in range(rng.randrange(6)) for i in rng.choice(PIECES)]
    end = rng.choice([MARKS.end, MARKS.end, MARKS.call, MARKS.return_])
    header = [*TOK.encode("assistant"), *before, MARKS.channel, *TOK.encode(channel), *after, *constrain]
    return [MARKS.start, *header, MARKS.message, *body, end]


def mutated(rng: random.Random) -> list[int]:
    """A few messages with some tokens lost, doubled, swapped or foreign."""
    ids = [i for _ in range(rng.randrange(1, 5)) for i in message(rng)]
    for _ in range(rng.choice([0, 1, 1, 2, 4, 12])):
        at = rng.randrange(len(ids) + 1)
        match rng.randrange(6):
            case 0:
                del ids[at : at + 1]
            case 1:
                ids[at:at] = [rng.choice(CONTROL)]
            case 2:
                ids[at:at] = rng.choice(PIECES)
            case 3:
                ids[at:at] = ids[at : at + rng.randrange(4)]
            case 4:
                ids[at:at] = [rng.choice([-1, 2**40, TOK.vocab_size, rng.randrange(-5, TOK.vocab_size + 5)])]
            case _:
                ids = ids[:at] if rng.random() < 0.3 else [*ids[at:], *ids[:at]]
    return ids


def soup(rng: random.Random) -> list[int]:
    """Control tokens and words in no order at all."""
    ids: list[int] = []
    for _ in range(rng.randrange(40)):
        ids += [rng.choice(CONTROL)] if rng.random() < 0.5 else rng.choice(PIECES)
    return ids


def run(ids: Sequence[int], role: Role | None) -> tuple[StreamParser, list[ParseEvent]]:
    parser = StreamParser(TOK, role=role)
    events = [event for i in ids for event in parser.feed(i)]
    return parser, events + parser.finish()


def check_events(parser: StreamParser, events: list[ParseEvent], size: int) -> None:
    """Started, its deltas, ended, in turn; the deltas join to the message; spans of notes lie within."""
    under_way: MessageStarted | None = None
    text, ended = "", []
    for event in events:
        match event:
            case MessageStarted():
                assert under_way is None
                under_way, text = event, ""
            case ContentDelta():
                assert under_way is not None
                assert event.text
                assert (event.channel, event.recipient) == (under_way.channel, under_way.recipient)
                text += event.text
            case MessageEnded():
                assert under_way is not None
                said = event.message
                header = MessageStarted(said.role, said.name, said.channel, said.recipient, said.content_type)
                assert header == under_way
                assert said.text == text
                ended.append(said)
                under_way = None
            case Diagnostic():
                assert 0 <= event.start < event.end <= size
    assert under_way is None
    assert tuple(ended) == parser.messages


def check_spans(parser: StreamParser, size: int) -> None:
    """Every token in exactly one span, messages in order."""
    at, number = 0, 0
    for span in parser.spans:
        assert span.start == at < span.end
        at = span.end
        if span.message is not None:
            assert span.message == number
            number += 1
    assert at == size
    assert number == len(parser.messages)


def check_text(parser: StreamParser, ids: Sequence[int]) -> None:
    """A message says all the text behind its ``<|message|>`` and no other; without one, the last of it."""
    for span in parser.spans:
        if span.message is None:
            continue
        tokens = ids[span.start : span.end]
        marked = MARKS.message in tokens
        body = tokens[tokens.index(MARKS.message) :] if marked else tokens
        text = TOK.decode([i for i in body if 0 <= i < 199_998])
        said = parser.messages[span.message].text
        # A character cut by a control token in a header reads as two halves there, as one in `text`.
        assert said == text if marked else text.endswith(said) or "\ufffd" in said


def labels(ids: Sequence[int]) -> list[tuple[str | None, bool]]:
    """For each token: the channel last named before it, and whether it is plainly in such a body.

    Plainly: only text stands between it and ``<|channel|>``, the name, ``<|message|>``.
    """
    found: list[tuple[str | None, bool]] = []
    label: str | None = None
    plain = False
    for at, i in enumerate(ids):
        if i == MARKS.channel:
            label, plain = LABELS.get(tuple(ids[at + 1 : at + 2])), False
        elif i == MARKS.message:
            plain = label is not None and at >= 2 and ids[at - 2] == MARKS.channel
        elif not 0 <= i < 199_998:
            plain = False
        found.append((label, plain))
    return found


def check_channels(parser: StreamParser, ids: Sequence[int]) -> None:
    """What was labelled analysis is not in a final; what was labelled final is in one."""
    channel_at: list[str | None] = []
    for span in parser.spans:
        channel = None if span.message is None else parser.messages[span.message].channel
        channel_at += [channel] * (span.end - span.start)
    for i, (label, plain), channel in zip(ids, labels(ids), channel_at, strict=True):
        if not plain or i == MARKS.message:
            continue
        if label == "analysis":
            assert channel != "final"
        if label == "final":
            assert channel == "final"


@pytest.mark.parametrize("role", ["assistant", None])
@pytest.mark.parametrize("make", [mutated, soup])
def test_promises_hold(make: object, role: Role | None) -> None:
    rng = random.Random(f"{make.__name__} {role}")  # pyright: ignore[reportAttributeAccessIssue]
    fed = 0
    while fed < TOKENS // 4:
        ids = make(rng)  # pyright: ignore[reportCallIssue]
        if role is not None and rng.random() < 0.8:
            ids = ids[2:]  # the prompt held <|start|>assistant
        fed += len(ids)
        parser, events = run(ids, role)
        check_events(parser, events, len(ids))
        check_spans(parser, len(ids))
        check_text(parser, ids)
        check_channels(parser, ids)
        for said in parser.messages:
            render_message(said, TOK)  # whatever was read can be rendered again
