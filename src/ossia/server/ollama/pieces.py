"""An answer's events as pieces of what Ollama's clients read.

/api/chat and /api/generate differ in where a piece stands in a line; `Piece.told` says where.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import orjson

from ossia.agent.events import (
    CallReady,
    Event,
    Finished,
    Note,
    PreambleDelta,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from ossia.agent.logprobs import Likely, TokenLogprob
from ossia.server.extension import FIELD, extension, progress
from ossia.server.ollama.asked import Asked
from ossia.server.operations.caller import Caller

Kind = Literal["chat", "generate"]
_FUNCTIONS = "functions."
_CUT = ("length", "limit_tokens", "limit_time", "limit_turns")


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of an answer: text, thought, calls, their tokens; or how far the prompt is read."""

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    progress: PromptProgress | None = None

    def told(self, kind: Kind) -> dict[str, Any]:
        """As the body of a line."""
        said: dict[str, Any] = (
            {"role": "assistant", "content": self.content} if kind == "chat" else {"response": self.content}
        )
        if self.thinking:
            said["thinking"] = self.thinking
        if self.calls:
            said["tool_calls"] = list(self.calls)
        line: dict[str, Any] = {"message": said} if kind == "chat" else said
        if self.logprobs:
            line["logprobs"] = [_logprob(token) for token in self.logprobs]
        if self.progress is not None:
            line[FIELD] = progress(self.progress.done, self.progress.total)
        return line


def joined(pieces: list[Piece]) -> Piece:
    """All that pieces say, in one."""
    return Piece(
        "".join(piece.content for piece in pieces),
        "".join(piece.thinking for piece in pieces),
        tuple(call for piece in pieces for call in piece.calls),
        tuple(token for piece in pieces for token in piece.logprobs),
    )


class Teller:
    """Turns one answer's events into pieces, and keeps what is only told at the end."""

    def __init__(self, asked: Asked, caller: Caller, notes: tuple[Note, ...]) -> None:
        self._shows = asked.shows_thinking and caller.sees_reasoning
        self._progress = asked.progress
        self._notes = list(notes)
        self._calls = 0
        self.finished: Finished | None = None

    def take(self, event: Event) -> Piece | None:
        """What an event adds to the answer, if anything."""
        match event:
            case TextDelta():
                return Piece(event.text, logprobs=event.logprobs)
            case PreambleDelta():
                return Piece(event.text)
            case ReasoningDelta():
                return Piece(thinking=event.text, logprobs=event.logprobs) if self._shows else None
            case CallReady():
                return Piece(calls=(self._call(event),))
            case PromptProgress():
                return Piece(progress=event) if self._progress else None
            case Note():
                self._notes.append(event)
            case Finished():
                self.finished = event
            case _:
                pass
        return None

    def end(self, load_s: float) -> dict[str, Any]:
        """What the last line says: why it ended, what it cost, and what Ollama has no word for."""
        assert self.finished is not None, "an answer ends with Finished"
        reason = "length" if self.finished.reason in _CUT else "stop"
        return {
            "done_reason": reason,
            **_cost(self.finished.usage, load_s),
            FIELD: extension(self._notes, self.finished.usage),
        }

    def _call(self, event: CallReady) -> dict[str, Any]:
        index, self._calls = self._calls, self._calls + 1
        name = event.name.removeprefix(_FUNCTIONS)
        arguments = self._arguments(event.arguments)
        return {"id": event.call_id, "function": {"index": index, "name": name, "arguments": arguments}}

    def _arguments(self, text: str) -> dict[str, Any]:
        """As an object; what the model wrote instead of one is passed on whole, under a key of its own."""
        try:
            value: Any = orjson.loads(text or "{}")
        except orjson.JSONDecodeError:
            value = None
        if isinstance(value, dict):
            return cast(dict[str, Any], value)
        self._notes.append(Note("arguments-malformed", "the arguments of a call are no JSON object"))
        return {"_malformed": text}


def _cost(usage: Usage, load_s: float) -> dict[str, int]:
    """Durations in nanoseconds."""
    first = usage.seconds if usage.first_token_s is None else usage.first_token_s
    return {
        "total_duration": _ns(load_s + usage.seconds),
        "load_duration": _ns(load_s),
        "prompt_eval_count": usage.prompt_tokens,
        "prompt_eval_duration": _ns(first),
        "eval_count": usage.output_tokens,
        "eval_duration": _ns(usage.seconds - first),
    }


def _ns(seconds: float) -> int:
    return max(round(seconds * 1e9), 1)


def _logprob(token: TokenLogprob) -> dict[str, Any]:
    told = _likely((token.token, token.bytes, token.logprob))
    return {**told, "top_logprobs": [_likely(other) for other in token.top]} if token.top else told


def _likely(token: Likely) -> dict[str, Any]:
    text, raw, logprob = token
    return {"token": text, "logprob": logprob, "bytes": list(raw)}
