"""Events gathered: into a reply, and into what a conversation keeps of an answer that was left early."""

from dataclasses import dataclass, replace

from ossia.agent.events import (
    CallReady,
    Event,
    Finished,
    FinishReason,
    MessageDone,
    Note,
    ReasoningDelta,
    ResultReady,
    TextDelta,
    Usage,
)
from ossia.harmony.messages import Message


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of the model and its result; `result` is None where it was not run."""

    id: str
    name: str
    arguments: str
    result: str | None = None
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer. `text` is the final alone; `str(reply)` is the same."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    finish_reason: FinishReason
    notes: tuple[Note, ...] = ()

    def __str__(self) -> str:
        return self.text


class Recorder:
    """Takes the events of one answer as they pass; `opening` messages of its conversation are no history."""

    def __init__(self, opening: int = 0) -> None:
        self.opening = opening
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[str, ToolCall] = {}
        self._notes: list[Note] = []
        self._messages: list[Message] = []
        self._open_text: list[str] = []
        self.finished: Finished | None = None

    def take(self, event: Event) -> None:
        match event:
            case TextDelta(text=text):
                self._text.append(text)
                self._open_text.append(text)
            case ReasoningDelta(text=text):
                self._reasoning.append(text)
            case MessageDone(message=message):
                # Thoughts of different messages stay apart, as paragraphs.
                if message.channel == "analysis" and not message.is_call:
                    self._reasoning.append("\n\n")
                self._messages.append(message)
                self._open_text.clear()
            case CallReady(call_id=call_id, name=name, arguments=arguments):
                self._calls[call_id] = ToolCall(call_id, name, arguments)
            case ResultReady(call_id=call_id, text=text, is_error=is_error):
                self._calls[call_id] = replace(self._calls[call_id], result=text, is_error=is_error)
            case Note():
                self._notes.append(event)
            case Finished():
                self.finished = event
            case _:
                pass

    def reply(self) -> Reply:
        """The answer, once `Finished` was taken."""
        assert self.finished is not None, "a reply needs its Finished event"
        return Reply(
            "".join(self._text),
            "".join(self._reasoning).strip("\n"),
            tuple(self._calls.values()),
            self.finished.usage,
            self.finished.reason,
            tuple(self._notes),
        )

    def kept(self) -> tuple[Message, ...]:
        """What a conversation keeps of an answer left early: all there was, if some of its final was seen."""
        if self._open_text:
            return (*self._messages, Message("assistant", "".join(self._open_text), channel="final"))
        answered = any(m.is_final for m in self._messages)
        return tuple(self._messages) if answered else ()
