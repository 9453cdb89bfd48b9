"""Requests to create a response, answered as runs: with their past, in their conversation, and stored."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from ossia.errors import ConflictError
from ossia.server.operations.caller import Caller
from ossia.server.responses.create import Outcome, Prepared, events, prepare
from ossia.server.responses.state.archive import Archive
from ossia.server.responses.state.history import Before, conversation_of, read_past, without_references
from ossia.server.responses.state.items import input_items, text_of
from ossia.server.responses.state.records import packed_steps, saved_items, saved_turn
from ossia.server.responses.state.runs import Run, Runs, Wire
from ossia.server.service import Service
from ossia.server.store.records import StoredItem, StoredResponse

_ANNOUNCED = ("response.created", "response.queued")
_ADDING = ("completed", "incomplete")  # what becomes part of its conversation


@dataclass(frozen=True, slots=True)
class Asked:
    """A request on its way. `stored`: whether its response outlives it; `kept`: responses it may go on from
    besides the stored ones, by id."""

    caller: Caller
    prepared: Prepared
    before: Before
    given: list[Wire]
    stored: bool
    outcome: Outcome = field(default_factory=Outcome)


class Answers:
    """All responses of one server: what answers, what is under way, and what is stored."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.archive = Archive(service.store, Runs(service.tasks))
        self._busy: set[tuple[str, str | None]] = set()  # conversations that are being added to

    async def begin(
        self,
        caller: Caller,
        body: Wire,
        *,
        open_names: bool = False,
        kept: Mapping[str, StoredResponse] | None = None,
    ) -> Run:
        """Take a request on. `kept`: responses it may go on from besides the stored ones, by id.

        Raises what `prepare` and `read_past` raise, and ConflictError where its conversation is being added
        to by another.
        """
        room = self._enter(caller, body)  # before its items are read, which another may be adding to
        try:
            asked = await self.ask(caller, body, open_names=open_names, kept=kept)
            try:
                return await self._start(asked)
            except BaseException:
                asked.prepared.place.give_up()
                raise
        except BaseException:
            self._busy.discard(room)
            raise

    async def ask(
        self,
        caller: Caller,
        body: Wire,
        *,
        open_names: bool = False,
        kept: Mapping[str, StoredResponse] | None = None,
    ) -> Asked:
        """A request with its past, and its place in the queue, which is to be given up or entered."""
        stored = body.get("store") is not False
        if not self.archive.stores:
            body = {**body, "store": False}
        unseal = partial(self.service.sealer.unseal, caller.owner)
        body = await without_references(self.archive, caller.owner, body)
        before = await read_past(self.archive, caller.owner, body, unseal, kept or {})
        given = input_items(body.get("input"))
        prepared = await prepare(self.service, caller, body, history=before.history, open_names=open_names)
        return Asked(caller, prepared, before, given, stored)

    async def note(
        self, caller: Caller, body: Wire, *, kept: Mapping[str, StoredResponse] | None = None
    ) -> StoredResponse:
        """Take a request in without answering it: a complete response without a word, to be gone on from."""
        room = self._enter(caller, body)
        try:
            asked = await self.ask(caller, body, kept=kept)
            asked.prepared.place.give_up()
            record = self._record(asked, asked.prepared.body("completed", completed_at=int(time.time())))
            if asked.stored:
                await self.archive.put(record, self._added(asked, record))
            return record
        finally:
            self._busy.discard(room)

    async def _start(self, asked: Asked) -> Run:
        prepared, background = asked.prepared, asked.prepared.request.background
        first = prepared.body("queued" if background else "in_progress")
        record = self._record(asked, first)
        if asked.stored:
            await self.archive.put(record)
        run = Run(
            asked.caller.owner, first, background=background, kept=asked.stored or background, record=record
        )
        source = events(
            self.service,
            prepared,
            outcome=asked.outcome,
            raising=not background and not prepared.request.stream,
        )
        if background:
            for kind in _ANNOUNCED:
                run.tell(kind)
            source = _without_announcement(source)
        self.archive.runs.start(run, source, partial(self._end, asked, run))
        return run

    async def _end(self, asked: Asked, run: Run, response: Wire) -> None:
        """Store a response that has ended, with what it adds to its conversation."""
        try:
            run.record = self._record(asked, response, await _steps(asked) if run.kept else "")
            if run.error is not None and not run.events:
                run.kept = False
                await self.archive.drop(run.record)
            elif asked.stored:
                await self.archive.put(run.record, self._added(asked, run.record))
        finally:
            self._leave(asked)

    def _record(self, asked: Asked, response: Wire, harmony: str = "") -> StoredResponse:
        said = asked.prepared.request.said
        return StoredResponse(
            id=response["id"],
            owner=asked.caller.owner,
            created_at=response["created_at"],
            status=response["status"],
            previous_id=response.get("previous_response_id"),
            conversation_id=asked.before.conversation_id,
            body=response,
            input_items=asked.given,
            messages=saved_turn(asked.before.history, said, asked.outcome.answer, asked.outcome.calls),
            text=text_of([*asked.given, *response["output"]]),
            harmony=harmony,
        )

    def _added(self, asked: Asked, record: StoredResponse) -> list[StoredItem]:
        """What a response adds to its conversation: what it was given, and its output."""
        if record.conversation_id is None or record.status not in _ADDING:
            return []
        given = [StoredItem(item["id"], item, [], text_of([item])) for item in record.input_items]
        output: list[Wire] = record.body["output"]
        said = saved_items(output, asked.outcome.answer, asked.outcome.calls)
        made = [
            StoredItem(item["id"], item, messages, text_of([item]))
            for item, messages in zip(output, said, strict=True)
        ]
        return [*given, *made]

    def _enter(self, caller: Caller, body: Wire) -> tuple[str, str | None]:
        """Keep others out of the conversation a request goes on in, if it does."""
        room = (caller.owner, conversation_of(body))
        if room in self._busy:
            raise ConflictError(
                "Another response is being added to this conversation.",
                value=room[1],
                remedy="Try again when it has ended.",
                param="conversation",
            )
        if room[1] is not None:
            self._busy.add(room)
        return room

    def _leave(self, asked: Asked) -> None:
        asked.prepared.place.give_up()
        self._busy.discard((asked.caller.owner, asked.before.conversation_id))


async def _steps(asked: Asked) -> str:
    finished, tok = asked.outcome.finished, asked.outcome.tok
    if finished is None or tok is None:
        return ""
    return await asyncio.to_thread(packed_steps, finished.steps, tok)


async def _without_announcement(source: AsyncGenerator[Wire, None]) -> AsyncGenerator[Wire, None]:
    """The events behind those that were told already."""
    async with aclosing(source):
        async for event in source:
            if event["type"] not in _ANNOUNCED:
                yield event
