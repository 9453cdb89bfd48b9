"""Create a response: from a request's body to the events of its answer.

`prepare` reads the request and takes a place in the queue; `events` answers, and its last event carries the
whole response. What is stored, followed or run in the background consumes these events; this file does not
know of it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ossia.agent.events import Event, Finished, MessageDone, Note, PromptProgress
from ossia.agent.limits import Limits
from ossia.agent.model import Model
from ossia.agent.steering.options import AnswerOptions
from ossia.errors import OssiaError
from ossia.harmony.formats.fields import whole_of
from ossia.harmony.messages import Conversation, Message
from ossia.model.sampling import SamplingParams
from ossia.server.extension import FIELD, extension, progress
from ossia.server.failures import openai_error
from ossia.server.opening import open_conversation
from ossia.server.operations.caller import Caller
from ossia.server.responses.body import Status, response_body
from ossia.server.responses.events import OutputEvents, Shown, WireEvent
from ossia.server.responses.items import new_id
from ossia.server.responses.reading import History
from ossia.server.responses.request import ResponseRequest, read_request
from ossia.server.responses.truncation import fit
from ossia.server.service import Place, Service
from ossia.tokenizer.base import Tokenizer

_CUT = ("length", "limit_tokens", "limit_time", "limit_turns", "repetition")
_WHY = {
    "length": Note("context-full", "the context has no room for more"),
    "limit_time": Note("time-is-up", "the server's time for one answer is up"),
}
_SAMPLING = ("presence_penalty", "frequency_penalty", "min_p", "repetition_penalty")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has its place in the queue. Consume `events`, or give the place up.

    `open_names`: the events are called as in the Open Responses specification.
    """

    id: str
    created_at: int
    caller: Caller
    request: ResponseRequest
    place: Place
    open_names: bool = False

    def body(self, status: Status, **more: Any) -> dict[str, Any]:
        """The response at one moment; see `response_body`."""
        return response_body(self.request, self.id, self.created_at, status, **more)


@dataclass(slots=True)
class Outcome:
    """What an answer leaves behind: its messages as far as it has come, whom the `calls` of each id in them
    are for, whose tokenizer read its ids, and once it has ended its end."""

    finished: Finished | None = None
    calls: dict[str, str] = field(default_factory=dict[str, str])
    answer: list[Message] = field(default_factory=list[Message])
    tok: Tokenizer | None = None


async def prepare(
    service: Service,
    caller: Caller,
    body: Mapping[str, Any],
    *,
    history: History | None = None,
    open_names: bool = False,
) -> Prepared:
    """Read a request, whose conversation goes on behind `history`, and take its place in the queue.

    Raises InputError with `param`, ModelNotFoundError, OverloadedError.
    """
    unseal = partial(service.sealer.unseal, caller.owner)
    request = await asyncio.to_thread(read_request, body, unseal, history)
    place = service.admit(caller, request.model)
    return Prepared(new_id("resp"), int(time.time()), caller, request, place, open_names)


async def events(
    service: Service, prepared: Prepared, *, outcome: Outcome | None = None, raising: bool = False
) -> AsyncGenerator[WireEvent, None]:
    """Answer: yields every event, numbered from 0; the last is the terminal one, with the whole response.

    `outcome` is filled before that last event. What goes wrong before the model has begun to answer is
    raised; later it becomes the last event, unless `raising`, for clients who see nothing but the end.
    Closing the generator stops the answer.
    """
    answer = _Answer(service, prepared, outcome or Outcome())
    try:
        if prepared.place.waits and not raising:
            for event in answer.announce("queued"):
                yield event
        async with prepared.place as model, aclosing(answer.follow(model)) as followed:
            async for event in followed:
                yield event
    except OssiaError as error:
        if raising or not answer.announced:
            raise
        for event in answer.fail(error):
            yield event
    finally:
        prepared.place.give_up()


class _Answer:
    """One answer under way."""

    def __init__(self, service: Service, prepared: Prepared, outcome: Outcome) -> None:
        self._service = service
        self._prepared = prepared
        self._request = prepared.request
        self._outcome = outcome
        self._notes: list[Note] = list(prepared.request.notes)
        self._output = OutputEvents(prepared.request.declared, self._shown())
        outcome.calls = self._output.calls
        self._number = 0
        self._running = False
        self.announced = False

    async def follow(self, model: Model) -> AsyncGenerator[WireEvent, None]:
        """The answer of `model`."""
        self._outcome.tok = model.tok
        conversation, dropped = await asyncio.to_thread(fit, self._conversation(model), model, self._request)
        self._notes += dropped
        answer = self._service.answer(model, conversation, self._prepared.caller, **self._options(model))
        async with aclosing(answer) as told:
            async for event in told:
                for wire in self._take(event):
                    yield wire
                if isinstance(event, Finished):
                    return

    def announce(self, status: Status) -> Iterator[WireEvent]:
        """The response's first events."""
        if not self.announced:
            yield self._response_event("response.created", self._prepared.body(status))
            self.announced = True
        yield self._response_event(f"response.{status}", self._prepared.body(status))

    def fail(self, error: OssiaError) -> Iterator[WireEvent]:
        """The last events of an answer that went wrong."""
        told = openai_error(error)["error"]
        inner = told | {"code": told["code"] or told["type"]}
        flat = {} if self._prepared.open_names else {key: inner[key] for key in ("code", "message", "param")}
        yield self._numbered({"type": "error", **flat, "error": inner})
        shown = {"code": inner["code"], "message": inner["message"]}
        body = self._prepared.body("failed", output=self._output.items, error=shown)
        yield self._response_event("response.failed", body | {FIELD: extension(self._notes)})

    def _take(self, event: Event) -> Iterator[WireEvent]:
        if isinstance(event, Note):
            self._notes.append(event)
            return
        if not self._running:
            self._running = True
            yield from self.announce("in_progress")
        if isinstance(event, MessageDone):
            self._outcome.answer.append(event.message)
        match event:
            case PromptProgress(done, total) if self._request.shows_progress:
                body = self._prepared.body("in_progress")
                yield self._response_event("response.in_progress", body) | {FIELD: progress(done, total)}
            case Finished():
                yield self._finish(event)
            case _:
                yield from map(self._numbered, self._output.take(event))

    def _finish(self, finished: Finished) -> WireEvent:
        self._outcome.finished = finished
        self._notes += [_WHY[finished.reason]] if finished.reason in _WHY else []
        status, more = _ending(finished)
        body = self._prepared.body(status, output=self._output.items, usage=finished.usage, **more)
        told = {FIELD: extension(self._notes, finished.usage)}
        return self._response_event(f"response.{status}", body | told)

    def _conversation(self, model: Model) -> Conversation:
        opening = opening_of(self._service, self._request, model)
        return Conversation((*opening, *self._request.said.messages))

    def _options(self, model: Model) -> AnswerOptions:
        request = self._request
        tokens, calls = request.number("max_output_tokens"), request.number("max_tool_calls")
        if request.logprobs is not None and not model.backend.capabilities.logprobs:
            self._notes.append(Note("not-enforced", "logprobs"))
        return {
            "sampling": sampling_of(request, model),
            "limits": Limits(
                tokens=None if tokens is None else int(tokens), reasoning_tokens=request.reasoning_tokens
            ),
            "stop": request.stop,
            "tool_choice": request.declared.choice,
            "response_format": request.response_format,
            "max_calls": None if calls is None else int(calls),
        }

    def _shown(self) -> Shown:
        request, caller = self._request, self._prepared.caller
        stem = "response.reasoning" if self._prepared.open_names else "response.reasoning_text"
        sealer = self._service.sealer
        return Shown(
            reasoning=stem if caller.sees_reasoning else None,
            summary=request.summarizes,
            logprobs=request.logprobs is not None,
            seal=(lambda message: sealer.seal(caller.owner, [message])) if request.seals else None,
        )

    def _response_event(self, kind: str, body: Mapping[str, Any]) -> WireEvent:
        return self._numbered({"type": kind, "response": body})

    def _numbered(self, event: WireEvent) -> WireEvent:
        self._number += 1
        return {"type": event["type"], "sequence_number": self._number - 1, **event}


def opening_of(service: Service, request: ResponseRequest, model: Model) -> tuple[Message, ...]:
    """The messages a request's conversation opens with, before anything in it was said."""
    return open_conversation(
        model.card,
        effort=request.effort,
        today=service.today(),
        instructions=(*request.instructions, *request.said.lead),
        declared=request.declared,
        response_format=request.response_format,
    )


def _ending(finished: Finished) -> tuple[Status, dict[str, Any]]:
    """The status an answer ends with, and what the response says about it."""
    if finished.reason in _CUT:
        return "incomplete", {"incomplete": "max_output_tokens"}
    if finished.reason == "cancelled":
        text = "the model stopped before its answer was complete"
        return "failed", {"error": {"code": "server_error", "message": text}}
    return "completed", {"completed_at": int(time.time())}


def sampling_of(request: ResponseRequest, model: Model) -> SamplingParams:
    """How the answer is sampled; the temperature is the model's own where none was asked for."""
    options: dict[str, Any] = {name: request.number(name) for name in _SAMPLING}
    temperature, top_p = request.number("temperature"), request.number("top_p")
    if top_p == 0:  # of the most likely token alone
        temperature, top_p = 0, None
    options |= {
        "temperature": model.card.temperature if temperature is None else temperature,
        "top_p": top_p,
        "top_k": whole_of(request.fields, "top_k", "top_k"),
        "seed": whole_of(request.fields, "seed", "seed"),
    }
    given = {name: value for name, value in options.items() if value is not None}
    return SamplingParams(**given, logprobs=request.logprobs)
