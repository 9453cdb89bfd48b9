"""POST /v1/chat/completions: a request, answered as one object or as a stream of chunks."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ossia.agent.events import Event, Note, PromptProgress
from ossia.agent.limits import Limits
from ossia.agent.model import Model
from ossia.agent.steering.options import AnswerOptions, sampling_of
from ossia.errors import OssiaError
from ossia.harmony.messages import Conversation
from ossia.model.sampling import SamplingParams
from ossia.server import sse
from ossia.server.bodies import read_json
from ossia.server.chat import wire
from ossia.server.chat.answers import side_by_side
from ossia.server.chat.choice import Choice
from ossia.server.chat.request import ChatRequest, read_request
from ossia.server.failures import openai_error
from ossia.server.opening import open_conversation
from ossia.server.operations.caller import Caller, caller_of
from ossia.server.service import Place, Service

_GONE = 499  # nobody reads it: the client has left


class Completions:
    """The endpoint, over `service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def create(self, request: Request) -> Response:
        """Answer a request; what is wrong with it is raised before anything is computed."""
        asked = read_request(await read_json(request))
        caller = caller_of(request)
        place = self._service.admit(caller, asked.model)
        work = _Work(self._service, place, caller, asked)
        try:
            if asked.stream:
                return await sse.stream(work.chunks(), comment=caller.record.comment, failure=_failure)
            response = await sse.until_gone(request, work.whole())
        except BaseException:
            place.give_up()
            raise
        return response or Response(status_code=_GONE)


class _Work:
    """One request under way."""

    def __init__(self, service: Service, place: Place, caller: Caller, asked: ChatRequest) -> None:
        self._service = service
        self._place = place
        self._caller = caller
        self._asked = asked
        self._head = wire.Head(place.name, usage_in_chunks=asked.include_usage)
        self._notes = list(asked.notes)
        self._choices = [
            Choice(
                index,
                asked.declared,
                sees_reasoning=caller.sees_reasoning,
                legacy=asked.legacy,
                format_only=asked.response_format is not None,
            )
            for index in range(asked.answers)
        ]

    async def whole(self) -> Response:
        """The answer as one object."""
        async with self._place as model, aclosing(self._events(model)) as events:
            async for index, event in events:
                self._choices[index].take(event)
        return JSONResponse(wire.completion(self._head, self._choices, self._notes))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The answer as server-sent events."""
        begun: set[int] = set()
        async with self._place as model, aclosing(self._events(model)) as events:
            async for index, event in events:
                if index not in begun:
                    begun.add(index)
                    yield sse.encode(wire.opening_chunk(self._head, index))
                for chunk in self._told(index, event):
                    yield chunk
        if self._asked.include_usage:
            last = wire.usage_chunk(self._head, self._choices)
            yield sse.encode(wire.extended(last, self._choices, self._notes))
        yield sse.DONE

    def _told(self, index: int, event: Event) -> Iterator[bytes]:
        choice = self._choices[index]
        if isinstance(event, PromptProgress) and self._asked.return_progress and index == 0:
            yield sse.encode(wire.progress_chunk(self._head, index, event.done, event.total))
        if (delta := choice.take(event)) is not None:
            yield sse.encode(wire.delta_chunk(self._head, index, delta))
        if choice.finished:
            chunk = wire.finish_chunk(self._head, choice)
            if all(c.finished for c in self._choices) and not self._asked.include_usage:
                chunk = wire.extended(chunk, self._choices, self._notes)
            yield sse.encode(chunk)

    def _events(self, model: Model) -> AsyncGenerator[tuple[int, Event], None]:
        asked = self._asked
        opening = open_conversation(
            model.card,
            effort=asked.effort,
            today=self._service.today(),
            instructions=asked.draft.instructions,
            declared=asked.declared,
            response_format=asked.response_format,
        )
        conversation = Conversation((*opening, *asked.draft.messages))
        sampling = sampling_of(dict(asked.sampling), model.card)
        if sampling.logprobs is not None and not model.backend.capabilities.logprobs:
            self._notes.append(Note("not-enforced", "logprobs"))
        return side_by_side(
            [
                self._service.answer(model, conversation, self._caller, **self._options(sampling, index))
                for index in range(asked.answers)
            ]
        )

    def _options(self, sampling: SamplingParams, index: int) -> AnswerOptions:
        """The options of one answer; each has a seed of its own, the first the one that was given."""
        asked = self._asked
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + index)
        return {
            "sampling": sampling,
            "limits": Limits(tokens=asked.max_tokens, reasoning_tokens=asked.max_reasoning_tokens),
            "stop": asked.stop,
            "tool_choice": asked.declared.choice,
            "response_format": asked.response_format,
            "max_calls": asked.max_calls,
        }


def _failure(error: OssiaError) -> bytes:
    return sse.encode(openai_error(error)) + sse.DONE
