"""What every dialect is given: models, a place in the queue, and answers as agent events.

A dialect reads its request, takes a place, builds a conversation and turns events into its wire form:

    place = service.admit(caller, name)
    async with place as model:
        async with aclosing(service.answer(model, conversation, caller, **options)) as events:
            async for event in events: ...

It knows no dialect.
"""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from datetime import date
from typing import Protocol, Unpack

from starlette.requests import HTTPConnection

from ossia.agent.events import Event, Finished, Note
from ossia.agent.model import Model
from ossia.agent.steering.options import AnswerOptions
from ossia.harmony.messages import Conversation
from ossia.server.operations.admission import Admission, Ticket
from ossia.server.recall import Recall
from ossia.server.sealing import Sealer


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `owner` is "" where no key is needed; one owner never sees what another stored.

    `sees_reasoning`: whether the raw chain of thought may be shown to them.
    """

    owner: str = ""
    sees_reasoning: bool = True


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks, as the middleware found them."""
    return getattr(connection.state, "caller", None) or Caller()


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One installed model as lists show it; `created` in seconds since 1970, `size_bytes` on the disk."""

    name: str
    created: int = 0
    size_bytes: int = 0
    source: str = ""
    context_length: int | None = None


class Models(Protocol):
    """Which models are installed, and which one is in memory."""

    def installed(self) -> list[ModelEntry]: ...

    def resident(self) -> ModelEntry | None:
        """The one in memory now."""
        ...

    def resolve(self, name: str | None) -> str:
        """The name of the model that any spelling of it means, the default one for None; raises
        ModelNotFoundError."""
        ...

    def lease(self, name: str) -> AbstractAsyncContextManager[Model]:
        """The model in memory for as long as the block runs, loaded first where it is not. `name` as
        `resolve` gave it. Raises what loading raises."""
        ...

    async def close(self) -> None: ...


class Place:
    """One request's place in the queue; entering it waits for its turn, and gives the model in memory."""

    def __init__(self, ticket: Ticket, models: Models, name: str) -> None:
        self.name = name
        self._ticket = ticket
        self._models = models
        self._lease: AbstractAsyncContextManager[Model] | None = None

    @property
    def waits(self) -> bool:
        """Whether others are before it."""
        return not self._ticket.ready

    async def __aenter__(self) -> Model:
        await self._ticket.turn()
        try:
            self._lease = self._models.lease(self.name)
            return await self._lease.__aenter__()
        except BaseException:
            self._ticket.leave()
            raise

    async def __aexit__(self, *error: object) -> None:
        try:
            assert self._lease is not None, "a place that was entered has a lease"
            await self._lease.__aexit__(None, None, None)
        finally:
            self._ticket.leave()

    def give_up(self) -> None:
        """Leave the queue without having entered."""
        self._ticket.leave()


class Service:
    """One per server."""

    def __init__(
        self, models: Models, *, admission: Admission | None = None, sealer: Sealer | None = None
    ) -> None:
        self.models = models
        self.admission = admission or Admission()
        self.sealer = sealer or Sealer()
        self._recall = Recall()

    def today(self) -> date:
        """The date models are told."""
        return date.today()

    def admit(self, caller: Caller, name: str | None) -> Place:
        """A place in the queue for a model by any of its names; raises ModelNotFoundError, and
        OverloadedError where the queue is full. Enter it, or `give_up`."""
        resolved = self.models.resolve(name)
        return Place(self.admission.ticket(), self.models, resolved)

    async def answer(
        self, model: Model, conversation: Conversation, caller: Caller, **options: Unpack[AnswerOptions]
    ) -> AsyncGenerator[Event, None]:
        """Answer the end of `conversation`, as `Model.aanswer`. Messages that were sampled here get
        their ids and the reasoning the client forgot. What the backend cannot enforce is left out,
        and a Note "not-enforced" names it."""
        if not model.backend.capabilities.masks:
            for note in _unenforced(options):
                yield note
        conversation = self._recall.complete(caller.owner, conversation)
        async with aclosing(model.aanswer(conversation, **options)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    self._recall.remember(caller.owner, event.conversation)
                yield event

    async def close(self) -> None:
        """Free the model."""
        await self.models.close()


def _unenforced(options: AnswerOptions) -> list[Note]:
    """Take out what needs a grammar; a note for each."""
    notes: list[Note] = []
    if options.get("tool_choice", "auto") != "auto":
        options["tool_choice"] = "auto"
        notes.append(Note("not-enforced", "tool_choice"))
    if options.get("response_format") is not None:
        options["response_format"] = None
        notes.append(Note("not-enforced", "response_format"))
    if options.get("max_calls") is not None:
        options["max_calls"] = None
        notes.append(Note("not-enforced", "max_calls"))
    return notes
