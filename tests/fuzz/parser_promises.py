"""What the Harmony parser promises whatever it is fed, checked on mutated and random tokens.

    python tests/fuzz/parser_promises.py 10000000 [seed]

prints how many of them it held on; the test draws fewer. Nothing here knows how the parser works.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from ossia.harmony.events import ContentDelta, Diagnostic, MessageEnded, MessageStarted, ParseEvent
from ossia.harmony.messages import Role
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import render_message
from ossia.tokenizer import load_o200k_harmony

TOK = load_o200k_harmony()
MARKS = TOK.markers
CONTROL: list[int] = [getattr(MARKS, name) for name in MARKS.__slots__]
TEXT = 199_998  # ids below are text
PROMPT = (MARKS.start, *TOK.encode("assistant"))
AUTHORS = [
    *("assistant", "user", "system", "asistant", "functions.x"),
    *("python", "commentary", "user:y", "tool:x", "assistantfinal"),
]
HEADERS = [
    *(
        " to=functions.get",
        " to=",
        " to = python",
        " python",
        "functions.x to=assistant",
        "to=user",
        " to=all",
    ),
    *("analysis", "commentary", "final", "analysiss", "finalx", "Final", "commentaryjson", "––commentary"),
    *(" json", "json", " code", " <|constrain|>json", "<|channel|>analysis", "finalto=functions.x", "??"),
]
BODIES = [
    *(" thinking", " answer", " 안녕", "🫠", "<|end|>", '{"a": 1}', "\n\n", " ", "é", "漢字", "=", "<"),
    *("analysisHm", "assistantfinal", "assistant", ".", "..."),
]
PIECES = [TOK.encode(word) for word in (*AUTHORS, *HEADERS, *BODIES)]
LABELS = {tuple(TOK.encode(label)): label for label in ("analysis", "final")}
assert all(len(label) == 1 for label in LABELS)

Make = Callable[[random.Random], list[int]]


def message(rng: random.Random) -> list[int]:
    """One message in a form that models use."""
    channel = rng.choice(["analysis", "commentary", "final"])
    to = TOK.encode(rng.choice([" to=functions.x", " to=python", " to=browser.open"]))
    to = to if rng.random() < 0.4 else []
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
        match rng.randrange(7):
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
            case 5:
                ids[at : at + 2] = reversed(ids[at : at + 2])
            case _:
                ids = ids[:at] if rng.random() < 0.3 else [*ids[at:], *ids[:at]]
    return ids


def soup(rng: random.Random) -> list[int]:
    """Control tokens and words in no order at all."""
    ids: list[int] = []
    for _ in range(rng.randrange(40)):
        ids += [rng.choice(CONTROL)] if rng.random() < 0.5 else rng.choice(PIECES)
    return ids


def noise(rng: random.Random) -> list[int]:
    """Ids from anywhere, half characters among them, with a control token now and then."""
    low = rng.choice([0, 0, TEXT, -10])
    high = rng.choice([256, TOK.vocab_size, TOK.vocab_size + 10])
    return [
        rng.choice(CONTROL) if rng.random() < 0.2 else rng.randrange(min(low, high - 1), high)
        for _ in range(rng.randrange(40))
    ]


def check(ids: Sequence[int], role: Role | None, rng: random.Random) -> tuple[StreamParser, list[ParseEvent]]:
    """Assert every promise about one sequence of ids."""
    parser = StreamParser(TOK, role=role)
    events = [event for i in ids for event in parser.feed(i)] + parser.finish()
    check_events(parser, events, len(ids))
    check_spans(parser, len(ids))
    check_text(parser, ids)
    check_labels(parser, ids)
    check_ids(parser, ids, events, role)
    check_chunks(parser, ids, events, role, rng)
    for said in parser.messages:
        again, _ = parse(render_message(said, TOK, canonical=True), TOK)
        assert again == [said] or said.recipient == "all", "whatever was read is rendered, and read again"
    return parser, events


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
        text = TOK.decode([i for i in body if 0 <= i < TEXT])
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
        elif not 0 <= i < TEXT:
            plain = False
        found.append((label, plain))
    return found


def check_labels(parser: StreamParser, ids: Sequence[int]) -> None:
    """What was labelled analysis is not in a final; what was labelled final is in one; nothing else is."""
    channel_at: list[str | None] = []
    for span in parser.spans:
        channel = None if span.message is None else parser.messages[span.message].channel
        assert channel != "final" or "final" in TOK.decode(ids[span.start : span.end]).lower()
        channel_at += [channel] * (span.end - span.start)
    for i, (label, plain), channel in zip(ids, labels(ids), channel_at, strict=True):
        if not plain or i == MARKS.message:
            continue
        if label == "analysis":
            assert channel not in (None, "final")
        if label == "final":
            assert channel == "final"


def check_ids(parser: StreamParser, ids: Sequence[int], events: list[ParseEvent], role: Role | None) -> None:
    """A message has the ids of its span; it has none exactly where a diagnostic lies within it."""
    notes = [event for event in events if isinstance(event, Diagnostic)]
    for span in parser.spans:
        if span.message is None:
            continue
        said = parser.messages[span.message]
        own = tuple(ids[span.start : span.end])
        if said.sampled is None:
            assert any(note.start < span.end + 1 and note.end > span.start for note in notes)
            continue
        sampled = said.sampled_in(TOK.name)
        assert sampled is not None
        whole = sampled.header_ids + sampled.body_ids + sampled.end_ids
        assert tuple(render_message(said, TOK, as_read=True)) == whole
        before = whole[: len(whole) - len(own)]
        assert before + own == whole
        assert before in ((), PROMPT, PROMPT[:1])
        assert not before or (role is not None and span.start == 0)
        assert TOK.decode(sampled.body_ids) == said.text
        assert not any(
            span.start <= note.start and note.end <= span.end for note in notes if note.code != "missing-end"
        )


def check_chunks(
    parser: StreamParser, ids: Sequence[int], events: list[ParseEvent], role: Role | None, rng: random.Random
) -> None:
    """However the ids are cut into chunks, the same is said of them."""
    other = StreamParser(TOK, role=role)
    chunked: list[ParseEvent] = []
    at = 0
    while at < len(ids):
        size = rng.choice([1, 2, 3, 7, 1000])
        chunked += other.feed_all(ids[at : at + size])
        at += size
    chunked += other.finish()
    assert joined(chunked) == joined(events)
    assert other.messages == parser.messages
    assert other.spans == parser.spans
    assert [m.sampled for m in other.messages] == [m.sampled for m in parser.messages]


def joined(events: list[ParseEvent]) -> list[Any]:
    """Events with neighbouring deltas made one."""
    told: list[Any] = []
    for is_delta, group in groupby(events, key=lambda event: isinstance(event, ContentDelta)):
        texts = [event.text if isinstance(event, ContentDelta) else event for event in group]
        told += ["".join(map(str, texts))] if is_delta else texts
    return told


def run(make: Make, role: Role | None, tokens: int, seed: object) -> Counter[str]:
    """Check the promises on `tokens` tokens; count what was met."""
    rng = random.Random(f"{make.__name__} {role} {seed}")
    met: Counter[str] = Counter()
    while met["tokens"] < tokens:
        ids = make(rng)
        if role is not None and rng.random() < 0.8:
            ids = ids[2:]  # the prompt held <|start|>assistant
        try:
            parser, events = check(ids, role, rng)
        except BaseException:
            print(f"failed on {ids}, role {role}", file=sys.stderr)
            raise
        met["tokens"] += len(ids)
        met["sequences"] += 1
        met["messages"] += len(parser.messages)
        met["messages with their ids"] += sum(m.sampled is not None for m in parser.messages)
        met.update(event.code for event in events if isinstance(event, Diagnostic))
    return met


MAKERS: tuple[Make, ...] = (mutated, soup, noise)
ROLES: tuple[Role | None, ...] = ("assistant", None)


def main(tokens: int, seed: object) -> None:
    began = time.monotonic()
    met: Counter[str] = Counter()
    for make in MAKERS:
        for role in ROLES:
            share = 0.35 if make is mutated else 0.075
            met += run(make, role, round(tokens * share), seed)
    for name, count in met.most_common():
        print(f"{count:>12,} {name}")
    print(f"0 exceptions, every promise kept, in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else 1)
