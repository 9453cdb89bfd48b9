"""What the agent tells, as the events of a response and its output items, in OpenAI's order and names.

The Open Responses specification has other names for the events of reasoning; `Names` tells them apart.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ossia.agent.events import (
    CallDelta,
    CallStarted,
    Event,
    MessageDone,
    PreambleDelta,
    ReasoningDelta,
    TextDelta,
)
from ossia.agent.logprobs import TokenLogprob
from ossia.harmony.messages import Message
from ossia.server.declared import Declared
from ossia.server.responses.items import (
    Phase,
    call_item,
    logprobs_body,
    message_item,
    reasoning_item,
    reasoning_part,
    summary_part,
    text_part,
)

WireEvent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shown:
    """How output is shown. `reasoning`: the stem of its events' names, None to withhold its text; `summary`:
    it is its own summary as well; `seal`: makes the `encrypted_content` of a message, None for none."""

    reasoning: str | None = "response.reasoning_text"
    summary: bool = False
    logprobs: bool = False
    seal: Callable[[Message], str] | None = None


class OutputEvents:
    """Turns agent events into output items and their events; `items` are the finished ones, in order.

    A call of a tool nobody declared is not the client's to answer, and is left out.
    """

    def __init__(self, declared: Declared, shown: Shown) -> None:
        self.items: list[dict[str, Any]] = []
        self.calls: dict[str, str] = {}  # by call id, whom it was for
        self._declared = declared
        self._shown = shown
        self._item: dict[str, Any] | None = None
        self._said: list[str] = []
        self._logprobs: list[dict[str, Any]] = []

    def take(self, event: Event) -> Iterator[WireEvent]:
        """The events that one of the agent's brings about, without their sequence numbers."""
        match event:
            case ReasoningDelta(text):
                yield from self._think(text)
            case PreambleDelta(text, logprobs):
                yield from self._say(text, "commentary", logprobs)
            case TextDelta(text, logprobs):
                yield from self._say(text, "final_answer", logprobs)
            case CallStarted(name=name):
                yield from self._call(name)
            case CallDelta(text=text):
                yield from self._argue(text)
            case MessageDone(message) if message.role == "assistant":
                yield from self._end(message)
            case _:
                pass

    def _open(self, item: dict[str, Any]) -> WireEvent:
        self._item = item
        self._said.clear()
        self._logprobs.clear()
        return self._event("response.output_item.added", item=dict(item), item_id=None)

    def _event(self, kind: str, **fields: Any) -> WireEvent:
        """An event about the item under way."""
        assert self._item is not None, "an event about an item needs one"
        named = {"type": kind, "output_index": len(self.items), "item_id": self._item["id"], **fields}
        return {name: value for name, value in named.items() if value is not None}

    def _think(self, text: str) -> Iterator[WireEvent]:
        if self._item is None:
            yield from self._begin_thought()
        self._said.append(text)
        if (stem := self._shown.reasoning) is None:
            return
        yield self._event(f"{stem}.delta", content_index=0, delta=text)
        if self._shown.summary:
            yield self._event("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def _begin_thought(self) -> Iterator[WireEvent]:
        yield self._open(reasoning_item())
        if self._shown.reasoning is None:
            return
        yield self._event("response.content_part.added", content_index=0, part=reasoning_part(""))
        if self._shown.summary:
            yield self._event("response.reasoning_summary_part.added", summary_index=0, part=summary_part(""))

    def _say(self, text: str, phase: Phase, logprobs: tuple[TokenLogprob, ...]) -> Iterator[WireEvent]:
        if self._item is None:
            yield self._open(message_item(phase))
            yield self._event("response.content_part.added", content_index=0, part=text_part(""))
        self._said.append(text)
        likely = logprobs_body(logprobs) if self._shown.logprobs else []
        self._logprobs += likely
        yield self._event("response.output_text.delta", content_index=0, delta=text, logprobs=likely)

    def _call(self, recipient: str) -> Iterator[WireEvent]:
        if recipient in (self._declared.origins or {}):
            yield self._open(call_item(self._declared.origin(recipient)))
            assert self._item is not None, "it was opened just now"
            self.calls[self._item["call_id"]] = recipient

    def _argue(self, text: str) -> Iterator[WireEvent]:
        if self._item is not None:
            self._said.append(text)
            yield self._event(f"{_stem(self._item)}.delta", delta=text)

    def _end(self, message: Message) -> Iterator[WireEvent]:
        """A message is complete, or as far as it was cut."""
        if self._item is None and message.is_final:  # one that says nothing
            yield self._open(message_item("final_answer"))
            yield self._event("response.content_part.added", content_index=0, part=text_part(""))
        if (item := self._item) is None:
            return
        text = "".join(self._said)
        if item["type"] == "reasoning":
            yield from self._end_thought(item, text, message)
        elif item["type"] == "message":
            yield from self._end_text(item, text)
        else:
            field = "input" if item["type"] == "custom_tool_call" else "arguments"
            item[field] = text
            yield self._event(f"{_stem(item)}.done", **{field: text})
        cut = message.sampled is not None and not message.sampled.end_ids
        item["status"] = "incomplete" if cut else "completed"
        yield self._event("response.output_item.done", item=item, item_id=None)
        self.items.append(item)
        self._item = None

    def _end_text(self, item: dict[str, Any], text: str) -> Iterator[WireEvent]:
        part = text_part(text, self._logprobs)
        item["content"] = [part]
        yield self._event(
            "response.output_text.done", content_index=0, text=text, logprobs=list(self._logprobs)
        )
        yield self._event("response.content_part.done", content_index=0, part=part)

    def _end_thought(self, item: dict[str, Any], text: str, message: Message) -> Iterator[WireEvent]:
        if self._shown.seal is not None:
            item["encrypted_content"] = self._shown.seal(message)
        if (stem := self._shown.reasoning) is None:
            return
        item["content"] = [reasoning_part(text)]
        yield self._event(f"{stem}.done", content_index=0, text=text)
        yield self._event("response.content_part.done", content_index=0, part=reasoning_part(text))
        if self._shown.summary:
            item["summary"] = [summary_part(text)]
            yield self._event("response.reasoning_summary_text.done", summary_index=0, text=text)
            yield self._event(
                "response.reasoning_summary_part.done", summary_index=0, part=summary_part(text)
            )


def _stem(item: dict[str, Any]) -> str:
    """What the names of the events of a call begin with."""
    custom = item["type"] == "custom_tool_call"
    return "response.custom_tool_call_input" if custom else "response.function_call_arguments"
