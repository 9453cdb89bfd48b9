"""What the parser says while tokens come in: frozen events, each true the moment it is given."""

from dataclasses import dataclass
from typing import Literal

from ossia.harmony.messages import Message, Role

Stop = Literal["end", "call", "return", "cut"]

Code = Literal[
    "bare-recipient",  # a recipient without "to="
    "call-channel",  # a call to a function outside the commentary channel
    "call-without-marker",  # a call that did not end in <|call|>
    "foreign-role",  # the model wrote a message of somebody else
    "garbled-channel",  # a channel's name inside a longer word; read as that channel
    "header-words",  # words in a header that mean nothing there, or parts of them
    "marker-without-call",  # <|call|> after a message to nobody
    "misplaced-channel",  # a channel's name where the author or the content type should be
    "missing-channel",  # an assistant message without a channel
    "missing-end",  # the next message began before this one ended
    "missing-message",  # a header without <|message|>: what followed it was taken as the body
    "missing-role",  # a header that does not say whose message it is
    "missing-start",  # a header without <|start|>
    "recipient-in-role",  # the name of a tool where the author should be
    "repeated-channel",  # two channels in one header; the last known one counts
    "repeated-constrain",  # two <|constrain|> in one header; the first that names something counts
    "repeated-recipient",  # two recipients in one header; the last counts
    "skipped-header",  # a header that never became a message
    "spelled-header",  # headers without any marker: "analysis…assistantfinal…"
    "spelled-marker",  # a marker written as text in a header; read as the marker
    "stray-token",  # a token between messages that begins none
    "unexpected-token",  # a control token, or an id outside the vocabulary, left out of a message
    "unknown-channel",
    "unknown-role",
]


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """A header is complete (given once per message, before its deltas)."""

    role: Role
    name: str | None
    channel: str | None
    recipient: str | None
    content_type: str | None


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """Text of the message under way: whole characters, never empty."""

    text: str
    channel: str | None
    recipient: str | None


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """A message is complete; `stop` says how, "cut" when the tokens ran out inside it."""

    message: Message
    stop: Stop


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Something malformed among tokens `start` to `end` (exclusive), and recovered from."""

    code: Code
    start: int
    end: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens `start` to `end` (exclusive): message number `message`, or None where they were skipped."""

    start: int
    end: int
    message: int | None


ParseEvent = MessageStarted | ContentDelta | MessageEnded | Diagnostic
