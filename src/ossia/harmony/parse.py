"""Token ids to messages, while they are sampled: total, streaming, and by token id alone.

Whatever a model samples is data, so nothing raises here but what was asked to (`strict`): slips are recovered
from and reported. Three rules decide how. What was labelled analysis never becomes final; a final is never
lost; every token that was fed belongs to exactly one span. Control tokens steer and are never text; text
steers nowhere but in a header.

A message that was read without a diagnostic remembers its ids and renders again as it was sampled; a
mended one does not, and renders in canonical form.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ossia.errors import HarmonyError
from ossia.harmony.events import (
    Code,
    ContentDelta,
    Diagnostic,
    MessageEnded,
    MessageStarted,
    ParseEvent,
    Span,
    Stop,
)
from ossia.harmony.header import Header
from ossia.harmony.messages import CHANNELS, Message, Role
from ossia.harmony.reading import Section, body_within, read_header
from ossia.harmony.recover import Head, is_message, stripped_parts
from ossia.tokenizer.base import StreamDecoder, Tokenizer


@dataclass(slots=True)
class _Draft:
    """A message whose body is under way, begun at token `body`."""

    start: int
    body: int
    header: Header
    decoder: StreamDecoder
    prompt_ids: tuple[int, ...]
    mended: bool
    parts: list[str] = field(default_factory=list[str])
    # What every token asks for, at hand.
    feed: Callable[[int], str] = field(init=False)
    channel: str | None = field(init=False)
    recipient: str | None = field(init=False)

    def __post_init__(self) -> None:
        self.feed = self.decoder.feed
        self.channel, self.recipient = self.header.channel, self.header.recipient


class StreamParser:
    """Feed ids one by one, get events; `finish` when no more come.

    `role` is given when the prompt ended in ``<|start|>`` and that role, as for sampling; None parses
    from the first ``<|start|>``. With neither header nor body under way it waits for a message; a
    header or body under way is `_head` or `_draft`. Both at once: a header seems to have begun inside a
    body that did not end, and nothing is decided until it proves to be one. Text that nobody labelled and
    that ended in ``<|end|>`` is `_unlabelled`: the answer if nothing follows, else thought.

    `strict` turns the first diagnostic into a HarmonyError, after which the parser is of no more use.
    """

    def __init__(self, tok: Tokenizer, *, role: Role | None = "assistant", strict: bool = False) -> None:
        self._tok = tok
        self._marks = tok.markers
        self._control = frozenset(tok.special_tokens.values())
        self._size = tok.vocab_size
        self._stops: dict[int, Stop] = {
            self._marks.end: "end",
            self._marks.call: "call",
            self._marks.return_: "return",
            self._marks.endoftext: "return",
        }
        self._sampled = role == "assistant"
        self._strict = strict
        self._settled = 0  # tokens that are in a span
        self._unsettled: list[int] = []  # the ids after those
        self._head = Head(0, explicit=False, prompted=role) if role else None
        self._draft: _Draft | None = None
        self._body: _Draft | None = None  # the draft, unless a header seems to be under way in it
        self._unlabelled: tuple[Head, Header, int] | None = None
        self._messages: list[Message] = []
        self._spans: list[Span] = []
        self._events: list[ParseEvent] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """Every message that has ended."""
        return tuple(self._messages)

    @property
    def spans(self) -> tuple[Span, ...]:
        """The tokens so far, divided: each in one span, but for those of a message not yet decided."""
        return tuple(self._spans)

    def feed(self, token_id: int) -> list[ParseEvent]:
        """Take one id (any integer) and return what it brought about."""
        body = self._body
        self._unsettled.append(token_id)
        text = token_id not in self._control and 0 <= token_id < self._size
        if text and body is not None:
            delta = body.feed(token_id)
            if not delta:
                return []
            body.parts.append(delta)
            return [ContentDelta(delta, body.channel, body.recipient)]
        at = self._fed - 1
        self._events = []
        if self._unlabelled is not None:
            self._settle_unlabelled(last=token_id in self._stops)
        if text:
            self._head = self._head or Head(at, explicit=False)
            self._head.add(token_id)
        else:
            self._take_control(token_id, at)
        self._body = self._draft if self._head is None else None
        return self._events

    def feed_all(self, ids: Iterable[int]) -> list[ParseEvent]:
        """Take many ids at once: as feeding them one by one, but with one delta where they bring several."""
        fed = list(ids)
        events: list[ParseEvent] = []
        at = 0
        while at < len(fed):
            end = at if self._body is None else self._text_end(fed, at)
            if end == at:
                events += self.feed(fed[at])
                at += 1
            else:
                events += self._feed_text(fed[at:end])
                at = end
        return events

    def _text_end(self, ids: list[int], at: int) -> int:
        """The first place from `at` on with anything but text."""
        control, size = self._control, self._size
        for end in range(at, len(ids)):
            if ids[end] in control or not 0 <= ids[end] < size:
                return end
        return len(ids)

    def _feed_text(self, ids: list[int]) -> list[ParseEvent]:
        body = self._body
        assert body is not None, "a run of text belongs to a body"
        self._unsettled += ids
        delta = "".join(map(body.feed, ids))
        if not delta:
            return []
        body.parts.append(delta)
        return [ContentDelta(delta, body.channel, body.recipient)]

    def finish(self) -> list[ParseEvent]:
        """Return what is still owed when the tokens have run out."""
        self._events = []
        if self._unlabelled is not None:
            self._settle_unlabelled(last=True)
        if self._head is not None:
            self._resolve(self._fed, "cut")
        if self._draft is not None:
            self._close("cut", self._fed)
        self._body = None
        return self._events

    @property
    def _fed(self) -> int:
        return self._settled + len(self._unsettled)

    def _take_control(self, token_id: int, at: int) -> None:
        if token_id == self._marks.start:
            self._take_start(at)
        elif token_id == self._marks.channel:
            self._take_channel(at)
        elif token_id == self._marks.message and self._body is None:
            self._take_message(at)
        elif token_id == self._marks.constrain and self._body is None:
            self._head = self._head or Head(at, explicit=False)
            self._head.begin("constrain")
        elif token_id in self._stops:
            self._take_stop(self._stops[token_id], at)
        elif self._head is None and self._draft is None:
            self._skip("stray-token", at, at + 1, str(token_id))
        else:
            self._note("unexpected-token", at, at + 1, str(token_id), about=self._head or self._draft)

    def _take_start(self, at: int) -> None:
        if self._head is not None:
            self._resolve(at, None)
        self._head = Head(at, explicit=True)

    def _take_channel(self, at: int) -> None:
        head = self._head
        if head is not None and head.has_channel:
            if self._runs_on(head):  # a body without <|message|>, and now the next header
                self._resolve(at, None)
                head = None
            else:
                self._note("repeated-channel", head.start, at + 1, about=head)
        head = head or Head(at, explicit=False)
        head.begin("channel")
        self._head = head

    def _take_message(self, at: int) -> None:
        head = self._head or Head(at, explicit=False)
        self._head = None
        self._close_unended(head)
        self._begin(head, self._read(head, whole=True), at + 1)

    def _take_stop(self, stop: Stop, at: int) -> None:
        if self._head is not None and self._resolve(at + 1, stop):
            return
        if self._draft is not None:
            self._close(stop, at + 1)
        else:
            self._skip("stray-token", at, at + 1, stop)

    def _resolve(self, end: int, stop: Stop | None) -> bool:
        """Settle a header that got no ``<|message|>``; False if it was text of the body it stood in.

        `stop` is what ended it, None when another header begins at `end`.
        """
        head, self._head = self._head, None
        assert head is not None, "only a header under way can be settled"
        header = self._read(head, whole=False)
        if self._draft is not None and not (header.says_role or header.channel in CHANNELS):
            self._absorb(head, self._draft)
            return False
        self._close_unended(head)
        if not is_message(head, header, stop):
            self._skip("skipped-header", head.start, end, self._tok.decode(head.text))
        elif self._sampled and (parts := stripped_parts(head, self._tok, end, stop)):
            self._tell_stripped(head, parts, end, stop)
        elif self._sampled and stop == "end" and not header.labelled:
            self._unlabelled = (head, header, end)
        else:
            self._tell(head, header, end, stop)
        return True

    def _settle_unlabelled(self, *, last: bool) -> None:
        assert self._unlabelled is not None, "only what is held can be settled"
        head, header, end = self._unlabelled
        self._unlabelled = None
        self._tell(head, header if last else header.taken_as("analysis"), end, "end")

    def _tell(self, head: Head, header: Header, end: int, stop: Stop | None) -> None:
        """Give the whole message of a header without ``<|message|>``."""
        self._note("missing-message", head.start, end, about=head)
        self._begin(head, header, end)
        self._deliver(header.rest)
        self._close(stop or "end", end)

    def _tell_stripped(
        self, head: Head, parts: list[tuple[int, str, str]], end: int, stop: Stop | None
    ) -> None:
        ends = [*(start for start, _, _ in parts[1:]), end]
        for number, (start, channel, body) in enumerate(parts):
            sections: list[tuple[Section, str]] = [("author", "assistant"), ("channel", channel)]
            header = read_header(sections, head.prompted, sampled=True, whole=True)
            notes = header.notes if number else (*header.notes, ("spelled-header", ""))
            begun = Head(start, explicit=False, prompted=None if number else head.prompted)
            self._tell(
                begun,
                replace(header, rest=body, notes=notes),
                ends[number],
                stop if number == len(parts) - 1 else None,
            )

    def _read(self, head: Head, *, whole: bool) -> Header:
        sections: list[tuple[Section, str]] = [(name, self._tok.decode(ids)) for name, ids in head.sections]
        return read_header(sections, head.prompted, sampled=self._sampled, whole=whole)

    def _runs_on(self, head: Head) -> bool:
        """Whether a body follows the header already; asks the last section only, as there may be many."""
        section, ids = head.sections[-1]
        return bool(body_within(section, self._tok.decode(ids), head.prompted))

    def _absorb(self, head: Head, draft: _Draft) -> None:
        """Take what looked like a header as text of the body it stood in."""
        self._note("unexpected-token", head.start, head.start + 1, about=draft)
        for token_id in head.text:
            self._deliver(draft.feed(token_id))

    def _close_unended(self, head: Head) -> None:
        if self._draft is not None:
            self._note("missing-end", head.start, head.start + 1, about=self._draft)
            self._close("end", head.start)

    def _begin(self, head: Head, header: Header, end: int) -> None:
        if not head.explicit and head.prompted is None:
            self._note("missing-start", head.start, end, about=head)
        for code, detail in header.notes:
            self._note(code, head.start, end, detail, about=head)
        before = () if head.prompted is None else self._prompt_ids(head.prompted, header)
        self._draft = _Draft(head.start, end, header, self._tok.stream(), before, head.mended)
        self._events.append(
            MessageStarted(header.role, header.name, header.channel, header.recipient, header.content_type)
        )

    def _prompt_ids(self, role: Role, header: Header) -> tuple[int, ...]:
        """What stood in the prompt: where the header says the role itself, no more than ``<|start|>``."""
        return (self._marks.start, *(() if header.says_role else self._tok.encode(role)))

    def _deliver(self, text: str) -> None:
        draft = self._draft
        assert draft is not None, "text needs a message to go to"
        if text:
            draft.parts.append(text)
            self._events.append(ContentDelta(text, draft.channel, draft.recipient))

    def _close(self, stop: Stop, end: int) -> None:
        draft = self._draft
        assert draft is not None, "only a message under way can end"
        self._deliver(draft.decoder.flush())
        self._draft = None
        message = draft.header.message("".join(draft.parts))
        if message.is_call and stop in ("end", "return"):
            self._note("call-without-marker", end - 1, end, about=draft)
        elif stop == "call" and not message.is_call:
            self._note("marker-without-call", end - 1, end, about=draft)
        ids = self._settle(end)
        if not draft.mended:
            body, last = draft.body - draft.start, end - draft.start - (stop != "cut")
            header_ids = draft.prompt_ids + ids[:body]
            message = message.with_ids(header_ids, ids[body:last], ids[last:], self._tok.name)
        self._spans.append(Span(draft.start, end, len(self._messages)))
        self._messages.append(message)
        self._events.append(MessageEnded(message, stop))

    def _skip(self, code: Code, start: int, end: int, detail: str) -> None:
        if end > start:
            self._settle(end)
            self._spans.append(Span(start, end, None))
            self._note(code, start, end, detail)

    def _settle(self, end: int) -> tuple[int, ...]:
        """Take the ids up to token `end`, which begin where the last span ended."""
        count = end - self._settled
        ids = tuple(self._unsettled[:count])
        del self._unsettled[:count]
        self._settled = end
        return ids

    def _note(
        self, code: Code, start: int, end: int, detail: str = "", *, about: Head | _Draft | None = None
    ) -> None:
        note = Diagnostic(code, start, end, detail)
        if self._strict:
            raise _refusal(note)
        if about is not None:
            about.mended = True
        self._events.append(note)


def parse(
    ids: Iterable[int], tok: Tokenizer, role: Role | None = None, *, strict: bool = False
) -> tuple[list[Message], list[Diagnostic]]:
    """Return the messages in `ids` and what was wrong with them.

    `role` as for StreamParser: given when `ids` continue a prompt that ended in that role. Never raises
    unless `strict`: then the first slip is a HarmonyError.
    """
    parser = StreamParser(tok, role=role, strict=strict)
    events = parser.feed_all(ids) + parser.finish()
    return list(parser.messages), [event for event in events if isinstance(event, Diagnostic)]


def _refusal(note: Diagnostic) -> HarmonyError:
    said = f" ({note.detail})" if note.detail else ""
    return HarmonyError(
        f"malformed Harmony at tokens {note.start} to {note.end}: {note.code}{said}",
        value=note,
        limit="well-formed Harmony, as strict parsing asks for it",
        remedy="Correct those tokens, or parse without strict=True to have them mended and reported.",
    )
