"""One answer of a completion: agent events in, deltas out, and at the end the whole message.

What the model says to the user before its calls is content, as its answer is; where it says several things,
an empty line stands between. Calls of tools that the client did not declare are not shown.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from ossia.agent.events import (
    CallDelta,
    CallStarted,
    Event,
    Finished,
    MessageDone,
    Note,
    PreambleDelta,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from ossia.agent.logprobs import TokenLogprob
from ossia.errors import BackendError
from ossia.server.declared import ClientTool, Declared

_LENGTH = ("length", "limit_turns", "limit_tokens", "limit_time")
_JOINT = "\n\n"


@dataclass(frozen=True, slots=True)
class Delta:
    """What is new in the message, and the tokens of the content among it."""

    fields: dict[str, Any]
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(slots=True)
class _Call:
    tool: ClientTool
    id: str
    index: int
    pieces: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class _Text:
    """What several messages say in one field; `joint` is due before more of it."""

    pieces: list[str] = field(default_factory=list[str])
    closed: bool = False

    def add(self, text: str) -> str:
        text = _JOINT + text if self.closed and self.pieces else text
        self.closed = False
        self.pieces.append(text)
        return text

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


class Choice:
    """Takes the events of one answer. `sees_reasoning`: whether the chain of thought is shown. `legacy`: a
    call is a `function_call`, of which there is one. `format_only`: content is the final alone, which must be
    JSON."""

    def __init__(
        self, index: int, declared: Declared, *, sees_reasoning: bool, legacy: bool, format_only: bool
    ) -> None:
        self.index = index
        self.notes: list[Note] = []
        self.logprobs: list[TokenLogprob] = []
        self._declared = declared
        self._sees_reasoning = sees_reasoning
        self._legacy = legacy
        self._format_only = format_only
        self._content = _Text()
        self._reasoning = _Text()
        self._calls: dict[str, _Call] = {}
        self._end: Finished | None = None

    def take(self, event: Event) -> Delta | None:
        """What `event` adds to the message; raises BackendError where the answer was given up."""
        match event:
            case ReasoningDelta(text):
                return self._think(text)
            case PreambleDelta(text) if self._format_only:
                return self._think(text)
            case PreambleDelta(text, logprobs) | TextDelta(text, logprobs):
                self.logprobs += logprobs
                return Delta({"content": self._content.add(text)}, logprobs)
            case CallStarted(call_id, name):
                return self._begin(call_id, name)
            case CallDelta(call_id, text) if call_id in self._calls:
                call = self._calls[call_id]
                call.pieces.append(text)
                return self._call_delta(call, {_body_key(call.tool): text}, {})
            case MessageDone():
                self._content.closed = self._reasoning.closed = True
            case Note():
                self.notes.append(event)
            case Finished():
                self._finish(event)
            case _:
                pass
        return None

    @property
    def finished(self) -> bool:
        return self._end is not None

    @property
    def usage(self) -> Usage:
        assert self._end is not None, "usage is known at the end"
        return self._end.usage

    @property
    def finish_reason(self) -> str:
        """In the API's words; never content_filter."""
        assert self._end is not None, "the reason is known at the end"
        if self._end.reason == "calls":
            return "function_call" if self._legacy else "tool_calls"
        return "length" if self._end.reason in _LENGTH else "stop"

    def message(self) -> dict[str, Any]:
        """The message so far."""
        content = self._content.whole
        silent = bool(self._calls) and not content
        message: dict[str, Any] = {"role": "assistant", "content": None if silent else content}
        message |= {"refusal": None, "annotations": []}
        if self._reasoning.pieces:
            message |= _both(self._reasoning.whole)
        calls = [_whole(call) for call in self._calls.values()]
        if calls and self._legacy:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        return message

    def _think(self, text: str) -> Delta | None:
        return Delta(_both(self._reasoning.add(text))) if self._sees_reasoning else None

    def _begin(self, call_id: str, name: str) -> Delta | None:
        if name not in (self._declared.origins or {}) or (self._legacy and self._calls):
            return None
        tool = self._declared.origin(name)
        call = _Call(tool, f"call_{secrets.token_hex(12)}", len(self._calls))
        self._calls[call_id] = call
        named = {"name": tool.name, _body_key(tool): ""}
        return self._call_delta(call, named, {"id": call.id, "type": tool.kind})

    def _call_delta(self, call: _Call, inner: dict[str, Any], outer: dict[str, Any]) -> Delta:
        if self._legacy:
            return Delta({"function_call": inner})
        return Delta({"tool_calls": [{"index": call.index, **outer, call.tool.kind: inner}]})

    def _finish(self, event: Finished) -> None:
        if event.reason == "cancelled":
            raise BackendError("the backend gave up the request", remedy="Ask again.")
        self._end = event


def _both(text: str) -> dict[str, str]:
    """Reasoning under both names clients read it by."""
    return {"reasoning": text, "reasoning_content": text}


def _body_key(tool: ClientTool) -> str:
    return "input" if tool.kind == "custom" else "arguments"


def _whole(call: _Call) -> dict[str, Any]:
    body = {"name": call.tool.name, _body_key(call.tool): "".join(call.pieces)}
    return {"id": call.id, "type": call.tool.kind, call.tool.kind: body}
