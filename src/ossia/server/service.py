"""What every dialect is given: models, a place in the queue, and answers as agent events.

A dialect reads its request, takes a place, builds a conversation and turns events into its wire form:

    place = service.admit(caller, name)
    async with place as model:
        async with aclosing(service.answer(model, conversation, caller, **options)) as events:
            async for event in events: ...

It knows no dialect.
"""

import asyncio
import time
from asyncio import timeout
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from datetime import date
from typing import Any, Unpack

from ossia.agent.events import Event, Finished, Note, PromptProgress
from ossia.agent.limits import Limits
from ossia.agent.model import Model
from ossia.agent.steering.options import AnswerOptions
from ossia.errors import OverloadedError
from ossia.harmony.messages import Conversation
from ossia.server.extension import tokens_per_second
from ossia.server.models.entry import Models
from ossia.server.operations.admission import Admission, Ticket
from ossia.server.operations.caller import Caller
from ossia.server.operations.journal import Journal
from ossia.server.operations.metrics import Metrics
from ossia.server.operations.record import Record
from ossia.server.recall import Recall
from ossia.server.sealing import Sealer
from ossia.server.store.store import Store

_ENDING_S = 10.0  # for what runs in the background, once the model is gone


class Place:
    """One request's place in the queue; entering it waits for its turn, and gives the model in memory."""

    def __init__(
        self, ticket: Ticket, service: "Service", name: str, record: Record, keep_alive_s: float | None
    ) -> None:
        self.name = name
        self._ticket = ticket
        self._service = service
        self._record = record
        self._keep_alive_s = keep_alive_s
        self._lease: AbstractAsyncContextManager[Model] | None = None

    @property
    def waits(self) -> bool:
        """Whether others are before it."""
        return not self._ticket.ready

    async def __aenter__(self) -> Model:
        """Raises OverloadedError where the turn does not come within the server's time for a request."""
        begun = time.monotonic()
        self._record.model = self.name
        try:
            async with timeout(self._service.timeout_s):
                await self._ticket.turn()
                self._lease = self._service.models.lease(self.name, self._keep_alive_s)
                model = await self._lease.__aenter__()
        except TimeoutError:
            self._ticket.leave()
            raise self._too_long() from None
        except BaseException:
            self._ticket.leave()
            raise
        self._record.queue_s = time.monotonic() - begun
        self._service.metrics.waited(self._record.queue_s)
        return model

    async def __aexit__(self, *error: object) -> None:
        try:
            assert self._lease is not None, "a place that was entered has a lease"
            await self._lease.__aexit__(None, None, None)
        finally:
            self._ticket.leave()

    def give_up(self) -> None:
        """Leave the queue without having entered."""
        self._ticket.leave()

    def _too_long(self) -> OverloadedError:
        limit, after = self._service.timeout_s, self._service.admission.retry_after_s()
        return OverloadedError(
            f"no place became free within {limit:g} s",
            limit=limit,
            remedy=f"Try again in {after} s.",
            retry_after_s=after,
        )


class Service:
    """One per server. `timeout_s`: how long a request may wait, and how long an answer may take. `store`:
    where responses are kept, which belongs to it, None for nowhere. `tasks`: what must end before it closes.
    """

    def __init__(
        self,
        models: Models,
        *,
        admission: Admission | None = None,
        metrics: Metrics | None = None,
        journal: Journal | None = None,
        sealer: Sealer | None = None,
        store: Store | None = None,
        timeout_s: float | None = None,
    ) -> None:
        self.models = models
        self.admission = admission or Admission()
        self.sealer = sealer or Sealer()
        self.metrics = metrics or Metrics()
        self.journal = journal or Journal("off")
        self.timeout_s = timeout_s
        self.store = store
        self.recall = Recall()
        self.tasks: set[asyncio.Task[Any]] = set()

    def today(self) -> date:
        """The date models are told."""
        return date.today()

    def admit(self, caller: Caller, name: str | None, *, keep_alive_s: float | None = None) -> Place:
        """A place in the queue for a model by any of its names; raises ModelNotFoundError, OverloadedError
        where the queue is full, and StoppingError. Enter it, or `give_up`. `keep_alive_s` as `Models.lease`
        takes it."""
        resolved = self.models.resolve(name)
        ticket = self.admission.ticket(caller.owner, caller.at_once)
        return Place(ticket, self, resolved, caller.record, keep_alive_s)

    async def answer(
        self, model: Model, conversation: Conversation, caller: Caller, **options: Unpack[AnswerOptions]
    ) -> AsyncGenerator[Event, None]:
        """Answer the end of `conversation`, as `Model.aanswer`. Messages that were sampled here get
        their ids and the reasoning the client forgot. What the backend cannot enforce is left out,
        and a Note "not-enforced" names it."""
        if not model.backend.capabilities.masks:
            for note in _unenforced(options):
                yield note
        conversation = self.recall.complete(caller.owner, conversation)
        options["limits"] = self._within(options.get("limits") or Limits())
        last: Finished | None = None
        otherwise = "left"
        try:
            async with aclosing(model.aanswer(conversation, **options)) as events:
                async for event in events:
                    if isinstance(event, PromptProgress):
                        caller.record.reading = event
                    elif isinstance(event, Finished):
                        last = event
                        self.recall.remember(caller.owner, event.conversation)
                        self._account(caller.record, model, last, last.reason)
                    yield event
        except Exception:
            otherwise = "failed"
            raise
        finally:
            if last is None:
                self._account(caller.record, model, None, otherwise)

    async def close(self) -> None:
        """Refuse what comes, and free the model; answers under way end with an error. Close the store when
        they have."""
        self.admission.close()
        await self.models.close()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=_ENDING_S)
        for task in self.tasks.copy():
            task.cancel()
        if self.store is not None:
            await self.store.close()

    def _within(self, limits: Limits) -> Limits:
        times = [t for t in (limits.seconds, self.timeout_s) if t is not None]
        return replace(limits, seconds=min(times)) if times else limits

    def _account(self, record: Record, model: Model, last: Finished | None, finish: str) -> None:
        """Count and log an answer that has ended; `last` is None where it was left, or failed."""
        usage = None if last is None else last.usage
        record.finish = finish
        if last is not None:
            record.add(last.usage)
            if self.journal.with_text:
                record.text = [message.text for message in last.conversation.messages]
        rate = None if usage is None else tokens_per_second(usage)
        self.metrics.answer(model.card.name, finish, usage, rate)
        if record.over:
            self.journal.request(replace(record, usage=usage))


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
