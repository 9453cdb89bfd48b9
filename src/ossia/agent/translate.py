"""From sampled ids to events: one step of the model, as front ends and the conversation see it.

`StopStrings` holds back what might become a stop string; `Translator` wraps Harmony's parser. Where a model
slips in a way that would spoil the conversation, the message is mended, and a Note says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ossia.agent.events import (
    CallDelta,
    CallReady,
    CallStarted,
    Event,
    MessageDone,
    Note,
    PreambleDelta,
    ReasoningDelta,
    TextDelta,
)
from ossia.agent.logprobs import LogprobTrail, TokenLogprob
from ossia.errors import InputError
from ossia.harmony.events import ContentDelta, Diagnostic, MessageEnded, MessageStarted, ParseEvent
from ossia.harmony.header import ROLES
from ossia.harmony.messages import Message
from ossia.harmony.parse import StreamParser
from ossia.model.sampling import Token
from ossia.tokenizer.base import Tokenizer

Kind = Literal["reasoning", "preamble", "text", "call"]


class StopStrings:
    """Lets text through up to the first stop string.

    The one whose end comes first counts, of those that end together the longest: what streaming character
    by character would find, however the text is cut. Raises InputError for an empty stop string.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if "" in stops or isinstance(stops, str):
            raise InputError(
                "a stop string cannot be empty, and they must come as a list",
                value=stops,
                limit="a list of texts of at least one character",
                remedy='Write stop=["…"].',
            )
        self._stops = tuple(stops)
        self._held = ""
        self.hit: str | None = None

    def feed(self, text: str) -> str:
        """Return what can be shown now; nothing more comes once `hit` is set."""
        if not self._stops or self.hit is not None:
            return "" if self.hit is not None else text
        held = self._held + text
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := held.find(stop)) >= 0]
        if found:
            _, at, self.hit = min(found)
            self._held = ""
            return held[:at]
        keep = self._possible_beginning(held)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def flush(self) -> str:
        """Return what was held back in vain."""
        held, self._held = self._held, ""
        return held

    def _possible_beginning(self, text: str) -> int:
        """How many characters at the end of `text` may begin a stop string."""
        longest = min(len(text), max(map(len, self._stops)) - 1)
        for n in range(longest, 0, -1):
            if any(stop.startswith(text[-n:]) for stop in self._stops):
                return n
        return 0


@dataclass(frozen=True, slots=True)
class Call:
    """A complete call of the model."""

    id: str
    message: Message

    @property
    def name(self) -> str:
        assert self.message.recipient is not None, "a call has a recipient"
        return self.message.recipient


class Translator:
    """Events of one step. `over`: nothing more is wanted from the model, whether it stops or not.

    A step is over when its final has ended, when a stop string was found, when the model begins to
    speak for somebody else, or when it goes on after a call with anything but another call: that was
    written without knowing the result. What it began in the last two cases is thrown away. With
    `logprobs`, deltas carry those of their tokens.
    """

    def __init__(
        self, tok: Tokenizer, stops: Sequence[str], calls_before: int, *, logprobs: bool = False
    ) -> None:
        self._parser = StreamParser(tok, role="assistant")
        self._stop_strings = StopStrings(stops)
        self._trail = LogprobTrail(tok) if logprobs else None
        self._calls_before = calls_before
        self._started: MessageStarted | None = None
        self._kind: Kind = "text"
        self._shown: list[str] = []  # of the final under way
        self._call_id = ""
        self._cut_off = False
        self.messages: list[Message] = []
        self.calls: list[Call] = []
        self.reasoning_tokens = 0
        self.over = False

    @property
    def stop_string(self) -> str | None:
        return self._stop_strings.hit

    @property
    def thinking(self) -> bool:
        """Whether a chain of thought is under way."""
        return self._started is not None and self._kind == "reasoning"

    @property
    def answered(self) -> bool:
        """Whether a final has come, be it empty."""
        return any(m.is_final for m in self.messages)

    @property
    def answer(self) -> str:
        """The text of all finals."""
        return "".join(m.text for m in self.messages if m.is_final)

    def feed(self, token: Token) -> list[Event]:
        """Take one sampled token; not to be called once `over`."""
        thinking = self.thinking
        if self._trail is not None and self._started is not None:
            self._trail.add(token)
        events = self._translate_all(self._parser.feed(token.id))
        if thinking and self._started is not None:
            self.reasoning_tokens += 1
        return events

    def finish(self) -> list[Event]:
        """No more ids: close what is open. A message that was cut off stays as far as it came."""
        return [] if self._cut_off else self._translate_all(self._parser.finish())

    def _translate_all(self, parsed: list[ParseEvent]) -> list[Event]:
        events: list[Event] = []
        for item in parsed:
            if self._cut_off:
                break
            events += self._translate(item)
        return events

    def _translate(self, item: ParseEvent) -> list[Event]:
        match item:
            case MessageStarted():
                return self._start(item)
            case ContentDelta(text=text):
                return self._delta(text)
            case MessageEnded(message=message, stop=stop):
                return self._end(message, complete=stop != "cut")
            case Diagnostic(code=code, detail=detail):
                return [Note(code, detail)]

    def _start(self, started: MessageStarted) -> list[Event]:
        if started.role != "assistant":
            return self._cut("speaks-for-others", started.role)
        if self._trail is not None:
            self._trail.begin()
        self._started = started
        self._kind = _kind_of(started)
        if self._kind != "call":
            return self._cut("goes-on-after-call", started.channel or "") if self.calls else []
        assert started.recipient is not None, "what has no recipient is no call"
        self._call_id = f"call_{self._calls_before + len(self.calls) + 1}"
        return [CallStarted(self._call_id, started.recipient)]

    def _cut(self, code: str, detail: str) -> list[Event]:
        self.over = self._cut_off = True
        return [Note(code, detail)]

    def _delta(self, text: str) -> list[Event]:
        if self._trail is not None:
            self._trail.read(text)
        match self._kind:
            case "reasoning":
                return [ReasoningDelta(text, self._logprobs(text))]
            case "preamble":
                return [PreambleDelta(text, self._logprobs(text))]
            case "call":
                return [CallDelta(self._call_id, text, self._logprobs(text))]
            case "text":
                return self._show(self._stop_strings.feed(text))

    def _logprobs(self, text: str) -> tuple[TokenLogprob, ...]:
        return () if self._trail is None else self._trail.show(text)

    def _show(self, text: str) -> list[Event]:
        self._shown.append(text)
        events: list[Event] = [TextDelta(text, self._logprobs(text))] if text else []
        if self.stop_string is None:
            return events
        assert self._started is not None, "text belongs to a message"
        self.over = self._cut_off = True
        kind = self._started.content_type
        shown = "".join(self._shown)
        return [*events, *self._add(Message("assistant", shown, channel="final", content_type=kind))]

    def _end(self, message: Message, *, complete: bool) -> list[Event]:
        self._started = None
        kind = self._kind
        if kind == "call":
            return self._end_call(message, complete)
        events: list[Event] = []
        if kind == "text":
            events = self._show(self._stop_strings.flush())
            self._shown.clear()
            self.over = message.channel == "final"  # after stray text the answer may still come
        return [*events, *self._add(_mended(message, kind))]

    def _end_call(self, message: Message, complete: bool) -> list[Event]:
        if not complete:
            return self._add(message)
        call = Call(self._call_id, message)
        self.calls.append(call)
        return [*self._add(message), CallReady(call.id, call.name, message.text)]

    def _add(self, message: Message) -> list[Event]:
        self.messages.append(message)
        return [MessageDone(message)]


def _kind_of(started: MessageStarted) -> Kind:
    """The recipient decides what is a call, whatever the channel; no channel at all means the answer.

    A role is no tool: what is addressed to "user" is for the user. An unknown channel is kept from the user,
    as thought: what was not meant for them does less harm hidden than shown.
    """
    if started.recipient not in (None, "all") and started.recipient not in ROLES:
        return "call"
    if started.channel in (None, "final"):
        return "text"
    return "preamble" if started.channel == "commentary" else "reasoning"


def _mended(message: Message, kind: Kind) -> Message:
    """`message` so that it renders, and is dropped from history, as what it was taken for."""
    channel = {"text": "final", "reasoning": "analysis"}.get(kind, message.channel)
    return replace(message, channel=channel, recipient=None, recipient_in="author")
