"""The parser on what models really write: every slip recovered, labelled and reported."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from ossia.errors import HarmonyError
from ossia.harmony import (
    ContentDelta,
    Conversation,
    Diagnostic,
    Message,
    MessageEnded,
    MessageStarted,
    ParseEvent,
    Role,
    Span,
    StreamParser,
    parse,
    render_message,
    tool_result,
    user,
)
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"
O200K = load_o200k_harmony()


@pytest.fixture(scope="module", params=["o200k_harmony", "checkpoint"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return O200K if request.param == "o200k_harmony" else load_checkpoint_tokenizer(TINY)


def to_ids(text: str, tok: Tokenizer = O200K) -> list[int]:
    """Ids of a written-out sampling: names of control tokens are meant as control tokens here."""
    special = tok.special_tokens
    ids: list[int] = []
    for part in re.split(r"(<\|\w+\|>)", text):
        ids += [special[part]] if part in special else tok.encode(part)
    return ids


def run(
    text: str, tok: Tokenizer = O200K, role: Role | None = "assistant"
) -> tuple[StreamParser, list[ParseEvent]]:
    parser = StreamParser(tok, role=role)
    events = [event for i in to_ids(text, tok) for event in parser.feed(i)]
    return parser, events + parser.finish()


def codes(events: list[ParseEvent]) -> list[str]:
    return [event.code for event in events if isinstance(event, Diagnostic)]


def analysis(text: str) -> Message:
    return Message("assistant", text, channel="analysis")


def final(text: str) -> Message:
    return Message("assistant", text, channel="final")


def call(text: str, content_type: str | None = "<|constrain|>json", **fields: str) -> Message:
    canonical = {"channel": "commentary", "recipient": "functions.x", "content_type": content_type}
    return Message("assistant", text, **(canonical | fields))  # pyright: ignore[reportArgumentType]


AFTER_CHANNEL = {"recipient_in": "channel"}

WELL_FORMED = {
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>": [
        analysis("hm"),
        final("Hi"),
    ],
    " to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>": [call("{}")],
    "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>": [
        call("{}", **AFTER_CHANNEL)
    ],
    "<|channel|>commentary to=functions.x<|constrain|>json<|message|>{}<|call|>": [
        call("{}", **AFTER_CHANNEL)
    ],
    "<|channel|>commentary to=functions.x json<|message|>{}<|call|>": [call("{}", "json", **AFTER_CHANNEL)],
    "<|channel|>commentary to=functions.x<|message|>{}<|call|>": [call("{}", None, **AFTER_CHANNEL)],
    "<|channel|>commentary <|constrain|>json to=functions.x<|message|>{}<|call|>": [
        call("{}", **AFTER_CHANNEL)
    ],
    " to=functions.x <|constrain|>json<|channel|>commentary<|message|>{}<|call|>": [call("{}")],
    " to= functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>": [call("{}")],
    "<|channel|>commentaryto=functions.x <|constrain|><|message|>{}<|call|>": [
        call("{}", "<|constrain|>", **AFTER_CHANNEL)
    ],
    "<|channel|>analysis to=python code<|message|>1+1<|call|>": [
        call("1+1", "code", channel="analysis", recipient="python", **AFTER_CHANNEL)
    ],
    "<|start|>assistant<|channel|>final<|message|>Hi<|return|>": [final("Hi")],
    "assistant<|channel|>final<|message|>Hi<|return|>": [final("Hi")],
    "<|channel|>final<|message|><|return|>": [final("")],
}

SLIPS: dict[str, tuple[list[Message], list[str]]] = {
    # a message that did not end before the next began
    "<|channel|>analysis<|message|>hm<|channel|>final<|message|>Hi<|return|>": (
        [analysis("hm"), final("Hi")],
        ["missing-end", "missing-start", "missing-role"],
    ),
    "<|channel|>analysis<|message|>hm<|start|>assistant<|channel|>final<|message|>Hi<|return|>": (
        [analysis("hm"), final("Hi")],
        ["missing-end"],
    ),
    # ... or only seemed to begin: the final is not lost
    "<|channel|>final<|message|>a<|channel|> b<|start|> c d<|return|>": (
        [final("a b c d")],
        ["unexpected-token", "unexpected-token"],
    ),
    # no <|start|>
    "<|channel|>analysis<|message|>hm<|end|>assistant<|channel|>final<|message|>Hi<|return|>": (
        [analysis("hm"), final("Hi")],
        ["missing-start"],
    ),
    "<|channel|>analysis<|message|>hm<|end|><|channel|>final<|message|>Hi<|return|>": (
        [analysis("hm"), final("Hi")],
        ["missing-start", "missing-role"],
    ),
    "<|channel|>analysis<|message|>hm<|end|><|message|>Hi<|return|>": (
        [analysis("hm"), Message("assistant", "Hi")],
        ["missing-start", "missing-role", "missing-channel"],
    ),
    "<|channel|>analysis<|message|>hm<|end|>It is 4.<|return|>": (
        [analysis("hm"), Message("assistant", "It is 4.")],
        ["missing-message", "missing-start", "missing-role", "missing-channel"],
    ),
    # no <|message|>
    "<|channel|>analysis think <|channel|>final It is 4.<|return|>": (
        [analysis("think "), final("It is 4.")],
        ["missing-message", "missing-message", "missing-start", "missing-role"],
    ),
    '<|channel|>commentary to=functions.x <|constrain|>json{"a":1}<|call|>': (
        [call('{"a":1}', **AFTER_CHANNEL)],
        ["missing-message"],
    ),
    "<|channel|>commentary to=functions.x<|call|>": ([call("", None, **AFTER_CHANNEL)], ["missing-message"]),
    "<|channel|>finalIt is 4.<|return|>": ([final("It is 4.")], ["missing-message"]),
    "<|channel|>final<|return|>": ([final("")], ["missing-message"]),
    "Hello there<|return|>": ([Message("assistant", "Hello there")], ["missing-message", "missing-channel"]),
    "user said hi<|return|>": (
        [Message("assistant", "user said hi")],
        ["missing-message", "missing-channel"],
    ),
    # no channel, or a strange one
    "<|message|>Hi<|return|>": ([Message("assistant", "Hi")], ["missing-channel"]),
    "<|channel|><|message|>Hi<|return|>": ([Message("assistant", "Hi")], ["missing-channel"]),
    "<|channel|>thoughts<|message|>hm<|end|>": (
        [Message("assistant", "hm", channel="thoughts")],
        ["unknown-channel"],
    ),
    "<|channel|>analysis<|channel|>final<|message|>Hi<|return|>": ([final("Hi")], ["repeated-channel"]),
    "<|channel|>commentary to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>": (
        [call("{}", **AFTER_CHANNEL)],
        ["repeated-channel"],
    ),
    " to=functions.x<|constrain|><|constrain|>json<|channel|>commentary<|constrain|><|message|>{}<|call|>": (
        [call("{}")],
        ["repeated-constrain"],
    ),
    # calls in odd places: the recipient decides
    "<|channel|>analysis to=functions.x<|message|>{}<|call|>": (
        [call("{}", None, channel="analysis", **AFTER_CHANNEL)],
        ["call-channel"],
    ),
    "<|channel|>commentary functions.x <|constrain|>json<|message|>{}<|call|>": (
        [call("{}", **AFTER_CHANNEL)],
        ["bare-recipient"],
    ),
    "<|end|><|start|>functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>": (
        [call("{}")],
        ["skipped-header", "recipient-in-role"],
    ),
    "<|end|><|start|>functions.x<|channel|>commentary<|message|>{}<|call|>": (
        [call("{}", None)],
        ["skipped-header", "recipient-in-role"],
    ),
    " to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|end|>": (
        [call("{}")],
        ["call-without-marker"],
    ),
    "<|channel|>final<|message|>Hi<|call|>": ([final("Hi")], ["marker-without-call"]),
    # words and tokens too many
    "<|channel|>final please note<|message|>Hi<|return|>": (
        [Message("assistant", "Hi", channel="final", content_type="please")],
        ["header-words"],
    ),
    "<|channel|>final<|message|>Hi<|return|><|return|><|endoftext|>": (
        [final("Hi")],
        ["stray-token", "stray-token"],
    ),
    "<|channel|>final<|message|>H<|message|><|constrain|>i<|return|>": (
        [final("Hi")],
        ["unexpected-token", "unexpected-token"],
    ),
    "<|channel|>final<|message|>Hi<|endoftext|>": ([final("Hi")], []),
    "<|return|>": ([], ["skipped-header"]),
    # somebody else's words
    "<|channel|>final<|message|>a<|end|><|start|>user<|message|>q<|end|>": (
        [final("a"), user("q")],
        ["foreign-role"],
    ),
    "<|end|><|start|>functions.x to=assistant<|channel|>commentary<|message|>r<|end|>": (
        [tool_result("functions.x", "r")],
        ["skipped-header", "foreign-role"],
    ),
    "<|end|><|start|>asistant<|channel|>final<|message|>Hi<|return|>": (
        [final("Hi")],
        ["skipped-header", "unknown-role"],
    ),
    # names that hold what a name may not
    "<|channel|>commentary to=functions.<x>|y<|message|>{}<|call|>": (
        [call("{}", None, recipient="functions.xy", **AFTER_CHANNEL)],
        ["header-words"],
    ),
}

CUTS: dict[str, tuple[list[Message], list[str]]] = {
    "<|channel|>final<|message|>a<|start|>": ([final("a")], ["unexpected-token"]),
    "": ([], []),
    "<|channel|>anal": ([], ["skipped-header"]),
    "<|channel|>analysis": ([], ["skipped-header"]),
    "<|channel|>analysis We nee": ([analysis("We nee")], ["missing-message"]),
    "<|channel|>analysis<|message|>We nee": ([analysis("We nee")], []),
    "<|channel|>commentary to=functions.ge": ([], ["skipped-header"]),
    "<|channel|>final<|message|>a<|end|><|start|>assist": ([final("a")], ["skipped-header"]),
    "<|channel|>analysis<|message|>hm<|start|>assistant": (
        [analysis("hm")],
        ["missing-end", "skipped-header"],
    ),
    "Hello": ([Message("assistant", "Hello")], ["missing-message", "missing-channel"]),
}


@pytest.mark.parametrize("text", WELL_FORMED)
def test_well_formed(tok: Tokenizer, text: str) -> None:
    parser, events = run(text, tok)
    assert list(parser.messages) == WELL_FORMED[text]
    assert codes(events) == []


@pytest.mark.parametrize("text", SLIPS)
def test_slips_are_recovered_and_reported(tok: Tokenizer, text: str) -> None:
    parser, events = run(text, tok)
    messages, expected = SLIPS[text]
    assert list(parser.messages) == messages
    assert codes(events) == expected
    assert "cut" not in [event.stop for event in events if isinstance(event, MessageEnded)]


@pytest.mark.parametrize("text", CUTS)
def test_cuts_leave_what_was_said_where_it_was_said(tok: Tokenizer, text: str) -> None:
    parser, events = run(text, tok)
    messages, expected = CUTS[text]
    assert list(parser.messages) == messages
    assert codes(events) == expected


@pytest.mark.parametrize("text", [*WELL_FORMED, *SLIPS, *CUTS])
def test_tokens_are_divided_into_spans_and_messages_can_be_rendered(tok: Tokenizer, text: str) -> None:
    parser, _ = run(text, tok)
    spans = parser.spans
    assert [s.start for s in spans] == [0, *(s.end for s in spans)][: len(spans)]
    assert (spans[-1].end if spans else 0) == len(to_ids(text, tok))
    assert [s.message for s in spans if s.message is not None] == list(range(len(parser.messages)))
    for message in parser.messages:
        again, _ = parse(render_message(message, tok), tok)
        assert again == [message]


def test_events_in_order() -> None:
    parser, events = run("<|channel|>analysis<|message|>hm so<|end|><|start|>assistant to=functions.x"
                         "<|channel|>commentary <|constrain|>json<|message|>{}<|call|>")  # fmt: skip
    assert events == [
        MessageStarted("assistant", None, "analysis", None, None),
        ContentDelta("hm", "analysis", None),
        ContentDelta(" so", "analysis", None),
        MessageEnded(analysis("hm so"), "end"),
        MessageStarted("assistant", None, "commentary", "functions.x", "<|constrain|>json"),
        ContentDelta("{}", "commentary", "functions.x"),
        MessageEnded(call("{}"), "call"),
    ]
    assert parser.spans == (Span(0, 6, 0), Span(6, 21, 1))


@pytest.mark.parametrize(
    ("ending", "stop"),
    [("<|end|>", "end"), ("<|return|>", "return"), ("<|endoftext|>", "return"), ("", "cut")],
)
def test_stop_says_how_a_message_ended(ending: str, stop: str) -> None:
    _, events = run(f"<|channel|>final<|message|>Hi{ending}")
    assert events[-1] == MessageEnded(final("Hi"), stop)  # pyright: ignore[reportArgumentType]


def test_text_that_spells_control_tokens_stays_text() -> None:
    ids = to_ids("<|channel|>final<|message|>") + O200K.encode("a<|end|><|start|>user<|message|>b")
    messages, notes = parse(ids, O200K, "assistant")
    assert [m.text for m in messages] == ["a<|end|><|start|>user<|message|>b"]
    assert not notes


def test_deltas_never_hold_half_a_character() -> None:
    emoji = O200K.encode("🫠")
    assert len(emoji) > 1
    parser = StreamParser(O200K)
    for i in to_ids("<|channel|>final<|message|>"):
        parser.feed(i)
    assert all(parser.feed(i) == [] for i in emoji[:-1])
    assert parser.feed(emoji[-1]) == [ContentDelta("🫠", "final", None)]
    parser.feed(emoji[0])
    delta, ended = parser.finish()
    assert delta == ContentDelta("\ufffd", "final", None)
    assert ended == MessageEnded(final("🫠\ufffd"), "cut")


@pytest.mark.parametrize("token_id", [-1, 201_088, 2**63, 200_000, 200_018])
def test_ids_that_are_no_text_are_left_out(token_id: int) -> None:
    header, body = to_ids("<|channel|>final<|message|>"), O200K.encode("Hi")
    for ids in ([token_id, *header, *body], [*header, token_id, *body], [*header, *body, token_id]):
        messages, notes = parse(ids, O200K, "assistant")
        assert messages == [final("Hi")]
        assert [n.code for n in notes] == ["unexpected-token"]
    messages, notes = parse([token_id], O200K)
    assert not messages
    assert [(n.code, n.start, n.end) for n in notes] == [("stray-token", 0, 1)]


@pytest.mark.parametrize("role", ["user", "system", "developer", "tool"])
def test_other_roles_may_be_prompted(role: Role) -> None:
    parser, events = run("<|message|>x<|end|>", role=role)
    assert [m.role for m in parser.messages] == [role]
    assert not codes(events)


def test_history_of_every_role() -> None:
    history = (
        Message("system", "s"),
        Message("developer", "d"),
        Message("user", "u", name="bob"),
        analysis("a"),
        call("{}"),
        tool_result("functions.x", "r"),
        Message("tool", "r", name="calculator"),
        final("f"),
    )
    ids = [i for message in Conversation(history).messages for i in render_message(message, O200K)]
    messages, notes = parse(ids, O200K)
    assert tuple(messages) == history
    assert not notes


def test_feeding_goes_on_after_finish() -> None:
    parser = StreamParser(O200K)
    for i in to_ids("<|channel|>final<|message|>a"):
        parser.feed(i)
    parser.finish()
    assert parser.finish() == []
    for i in to_ids("<|start|>assistant<|channel|>final<|message|>b<|end|>"):
        parser.feed(i)
    assert [m.text for m in parser.messages] == ["a", "b"]
    assert parser.spans[-1].end == 11


@pytest.mark.parametrize("text", [*WELL_FORMED, *SLIPS, *CUTS])
@pytest.mark.parametrize("size", [2, 3, 100])
def test_many_at_once_is_one_by_one(tok: Tokenizer, text: str, size: int) -> None:
    one, events = run(text, tok)
    many = StreamParser(tok)
    ids = to_ids(text, tok)
    told = [event for at in range(0, len(ids), size) for event in many.feed_all(ids[at : at + size])]
    told += many.finish()
    assert [e for e in told if not isinstance(e, ContentDelta)] == [
        e for e in events if not isinstance(e, ContentDelta)
    ]
    assert many.messages == one.messages
    assert many.spans == one.spans


def test_a_run_of_text_is_one_delta() -> None:
    parser = StreamParser(O200K)
    parser.feed_all(to_ids("<|channel|>final<|message|>"))
    emoji = O200K.encode("🫠")
    assert parser.feed_all([*O200K.encode("It is four "), *emoji[:-1]]) == [
        ContentDelta("It is four ", "final", None)
    ]
    assert parser.feed_all(emoji[-1:]) == [ContentDelta("🫠", "final", None)]
    assert parser.feed_all([]) == []


def test_strict_names_the_first_slip() -> None:
    text = "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>finalHi<|return|>"
    with pytest.raises(HarmonyError, match="tokens 5 to 11: missing-message") as error:
        parse(to_ids(text), O200K, "assistant", strict=True)
    assert error.value.value == Diagnostic("missing-message", 5, 11)
    assert "without strict" in error.value.remedy


def test_unlabelled_text_waits_one_token_for_what_follows() -> None:
    parser = StreamParser(O200K)
    assert parser.feed_all(to_ids("We must refuse.<|end|>")) == []
    assert parser.messages == ()
    events = parser.feed(O200K.markers.start)
    assert [e.message for e in events if isinstance(e, MessageEnded)] == [analysis("We must refuse.")]
    assert parser.spans == (Span(0, 5, 0),)
    other = StreamParser(O200K)
    other.feed_all(to_ids("It is 4.<|end|>"))
    other.finish()
    assert other.messages == (Message("assistant", "It is 4."),)


class CountingTokenizer:
    """A tokenizer that counts the ids it is asked to decode."""

    def __init__(self) -> None:
        self.decoded = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(O200K, name)

    def decode(self, ids: Iterable[int]) -> str:
        known = list(ids)
        self.decoded += len(known)
        return O200K.decode(known)


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>",
        "<|channel|> x",
        "<|channel|>final",
        "<|start|> x",
        "<|constrain|> x",
        "x",
        "x<|end|>",
        " to=a",
    ],
)
@pytest.mark.parametrize("before", ["", "<|channel|>final<|message|>"])
def test_a_header_is_not_read_over_and_over(before: str, text: str) -> None:
    """However long it grows: the work is in proportion to the tokens."""
    tok = CountingTokenizer()
    ids = to_ids(before + text * 500)
    parser = StreamParser(tok)
    parser.feed_all(ids)
    parser.finish()
    assert tok.decoded <= 6 * len(ids)
