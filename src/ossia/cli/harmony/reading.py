"""Ids read token by token: which message each belongs to, and whether it is header, body or control.

Knows nothing of screens; `show` paints what stands here, `lint` checks it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ossia.cli.harmony.source import role_before
from ossia.harmony.events import Diagnostic, MessageStarted, Span
from ossia.harmony.messages import Message
from ossia.harmony.parse import StreamParser
from ossia.harmony.training import NOT_LEARNT
from ossia.tokenizer import Tokenizer

Part = Literal["control", "header", "body", "outside"]


@dataclass(frozen=True, slots=True)
class Token:
    """One token. `data`: its bytes, None where the id names none. `learnt`: None where nobody asked."""

    index: int
    id: int
    data: bytes | None
    part: Part
    message: int | None
    learnt: bool | None = None

    @property
    def text(self) -> str | None:
        """The bytes as text, None where they are half a character."""
        try:
            return None if self.data is None else self.data.decode()
        except UnicodeDecodeError:
            return None


@dataclass(frozen=True, slots=True)
class Reading:
    """Ids and what the parser makes of them.

    `places`: for each message its first token and the one after its last. `prompted`: the ids continue a
    prompt (no first ``<|start|>``).
    """

    tokens: tuple[Token, ...]
    messages: tuple[Message, ...]
    spans: tuple[Span, ...]
    places: tuple[tuple[int, int], ...]
    diagnostics: tuple[Diagnostic, ...]
    prompted: bool

    @property
    def ids(self) -> list[int]:
        return [token.id for token in self.tokens]


def read_tokens(ids: Sequence[int], tok: Tokenizer, labels: Sequence[int] | None = None) -> Reading:
    """Read `ids`; `labels`, one for each, say what a training example learns (-100: not learnt)."""
    kept = tuple(ids)
    role = role_before(kept, tok)
    parser = StreamParser(tok, role=role)
    bodies: list[int] = []  # where each message's body begins
    diagnostics: list[Diagnostic] = []
    for at in range(len(kept) + 1):
        for event in parser.feed(kept[at]) if at < len(kept) else parser.finish():
            if isinstance(event, Diagnostic):
                diagnostics.append(event)
            elif isinstance(event, MessageStarted):
                bodies.append(at + 1)
    spans = parser.spans
    control = frozenset(tok.special_tokens.values())
    pieces = {i: tok.decode_bytes([i]) for i in set(kept) if 0 <= i < tok.vocab_size}
    tokens: list[Token] = []
    for span in spans:
        body = _body_start(span, bodies, kept, tok)
        for at in range(span.start, span.end):
            data = pieces.get(kept[at])
            part = "outside" if data is None else _part(kept[at], at < body, span, control)
            learnt = None if labels is None else labels[at] != NOT_LEARNT
            tokens.append(Token(at, kept[at], data, part, span.message, learnt))
    places = {span.message: (span.start, span.end) for span in spans if span.message is not None}
    return Reading(
        tuple(tokens),
        parser.messages,
        spans,
        tuple(places[number] for number in range(len(parser.messages))),
        tuple(diagnostics),
        prompted=role is not None,
    )


def _body_start(span: Span, bodies: list[int], ids: tuple[int, ...], tok: Tokenizer) -> int:
    """Where the body of a span's message begins; its first token where no ``<|message|>`` says it."""
    body = span.start if span.message is None else bodies[span.message]
    return body if span.start < body <= span.end and ids[body - 1] == tok.markers.message else span.start


def _part(token_id: int, in_header: bool, span: Span, control: frozenset[int]) -> Part:
    if token_id in control:
        return "control"
    if span.message is None:
        return "outside"
    return "header" if in_header else "body"
