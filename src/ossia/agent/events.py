"""The one vocabulary front ends read: what happens while an answer comes about.

Deltas stream; what they add up to follows in a `MessageDone` with the whole message. Every answer ends with
exactly one `Finished`. Where `SamplingParams.logprobs` asks for them and the backend has them, deltas carry
the log-probabilities of their tokens. `to_json` gives each event the shape documented in docs/python.md.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ossia.agent.logprobs import TokenLogprob
from ossia.agent.saved import message_to_dict
from ossia.harmony.messages import Conversation, Message
from ossia.model.sampling import PromptProgress

FinishReason = Literal[
    "stop",  # the model finished
    "empty",  # it finished without an answer, or with an empty one
    "repetition",  # it only repeated itself
    "length",  # the context is full, or SamplingParams.max_tokens reached
    "limit_turns",
    "limit_tokens",
    "limit_time",
    "stop_string",
    "calls",  # the model called tools that are declared in the conversation but not here to be run
    "cancelled",  # the backend gave up the request
]


@dataclass(frozen=True, slots=True)
class Usage:
    """What an answer cost, over all its steps (a step is one sampling; a tool call begins another).

    `prompt_tokens` counts every step's prompt, `cached_tokens` those of them that were not computed again.
    `context_tokens`: the length of the conversation at the end, as the model saw and wrote it.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    seconds: float = 0.0
    first_token_s: float | None = None
    context_tokens: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """Chain of thought (the analysis channel)."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class PreambleDelta:
    """What the model says to the user before or between calls (commentary without a recipient)."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The answer itself (the final channel)."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call has begun; `name` is the full recipient, e.g. "functions.calculator"."""

    call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More of a call's arguments."""

    call_id: str
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class CallReady:
    """A call is complete; `arguments` as the model wrote them, which need not be valid JSON."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ResultReady:
    """What a tool answered, as the model will read it."""

    call_id: str
    name: str
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class MessageDone:
    """A message was added to the conversation, the model's or a tool's."""

    message: Message


@dataclass(frozen=True, slots=True)
class Note:
    """Something out of the ordinary that was recovered from: a slip of the model, a full context."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One sampling: the exact ids of its prompt, and of what was read behind them."""

    prompt_ids: Sequence[int]
    output_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class Finished:
    """The end. `conversation` holds everything up to here; `stop` is the stop string that was found."""

    reason: FinishReason
    usage: Usage
    conversation: Conversation
    stop: str | None = None
    steps: tuple[Step, ...] = field(default=(), compare=False, repr=False)


Event = (
    PromptProgress  # once when a step's prompt was accepted, then while it is read
    | ReasoningDelta
    | PreambleDelta
    | TextDelta
    | CallStarted
    | CallDelta
    | CallReady
    | ResultReady
    | MessageDone
    | Note
    | Finished
)

_TYPES: dict[type[Event], str] = {
    PromptProgress: "prompt.progress",
    ReasoningDelta: "reasoning.delta",
    PreambleDelta: "preamble.delta",
    TextDelta: "text.delta",
    CallStarted: "call.started",
    CallDelta: "call.delta",
    CallReady: "call.ready",
    ResultReady: "result.ready",
    MessageDone: "message.done",
    Note: "note",
    Finished: "finished",
}


def to_json(event: Event) -> dict[str, Any]:
    """An event as a JSON object: its `type`, then its fields. `finished` leaves the conversation out, whose
    messages were all given before, and the ids, and deltas without log-probabilities their `logprobs`."""
    kind = {"type": _TYPES[type(event)]}
    match event:
        case MessageDone(message):
            return {**kind, "message": message_to_dict(message)}
        case Finished(reason, usage, _, stop, _):
            numbers = {k: round(v, 6) if isinstance(v, float) else v for k, v in asdict(usage).items()}
            return {**kind, "reason": reason, "stop": stop, "usage": numbers}
        case ReasoningDelta(text, logprobs) | PreambleDelta(text, logprobs) | TextDelta(text, logprobs):
            return {**kind, "text": text, **_logprobs(logprobs)}
        case CallDelta(call_id, text, logprobs):
            return {**kind, "call_id": call_id, "text": text, **_logprobs(logprobs)}
        case _:
            return {**kind, **asdict(event)}


def _logprobs(tokens: tuple[TokenLogprob, ...]) -> dict[str, Any]:
    if not tokens:
        return {}
    return {"logprobs": [_logprob(t.token, t.bytes, t.logprob) | {"top": _top(t)} for t in tokens]}


def _top(token: TokenLogprob) -> list[dict[str, Any]]:
    return [_logprob(*one) for one in token.top]


def _logprob(token: str, piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token, "bytes": list(piece), "logprob": logprob}
