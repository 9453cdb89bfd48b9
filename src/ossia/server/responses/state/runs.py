"""A response as a run: its events are made in a task of their own, kept, and followed by any number.

Who reads may come later, begin anywhere, or go away; a run that is not in the background ends with the client
that asked for it. How it is stored it is told; it knows neither HTTP nor the model.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from ossia.errors import OssiaError
from ossia.server.failures import openai_error
from ossia.server.store.records import StoredResponse

Wire = dict[str, Any]
End = Callable[[Wire], Awaitable[None]]

KEEP_S = 600.0  # a finished run can be followed again
MAX_KEPT = 64  # of them
TERMINAL = ("response.completed", "response.incomplete", "response.failed")

_log = logging.getLogger(__name__)


class Run:
    """One response under way, or just over. `response` is as it stands; `events` are all so far, each with
    the `sequence_number` that is its place among them. `record`: as it is stored, or would be."""

    def __init__(
        self,
        owner: str,
        response: Wire,
        *,
        background: bool = False,
        kept: bool = True,
        record: StoredResponse | None = None,
    ) -> None:
        self.owner = owner
        self.record = record
        self.id: str = response["id"]
        self.response = response
        self.background = background
        self.kept = kept
        self.events: list[Wire] = []
        self.error: OssiaError | None = None
        self.over = False
        self._items: dict[int, Wire] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    @property
    def items(self) -> list[Wire]:
        """The items of its output that are complete."""
        return [self._items[at] for at in sorted(self._items)]

    def start(self, source: AsyncGenerator[Wire, None], end: End) -> asyncio.Task[None]:
        """Make its events. `end` stores the response before anybody is told that it has ended."""
        assert self._task is None, "a run is started once"
        self._task = asyncio.create_task(self._go(source, end))
        return self._task

    def tell(self, kind: str) -> None:
        """An event of its life: `kind` with the response as it stands."""
        self._publish({"type": kind, "response": self.response})

    async def follow(self, after: int = -1) -> AsyncGenerator[Wire, None]:
        """Its events behind the one numbered `after`, as they come, to the last. Raises the error of a run
        that ended before its first event."""
        at = max(after + 1, 0)
        while True:
            while at < len(self.events):
                yield self.events[at]
                at += 1
            if self.over:
                break
            await self._change()
        if self.error is not None and not self.events:
            raise self.error

    async def result(self) -> Wire:
        """The response when it has ended; raises the error it ended with."""
        while not self.over:
            await self._change()
        if self.error is not None:
            raise self.error
        return self.response

    async def cancel(self) -> None:
        """Stop it, and wait until it has stopped; nothing where it is over."""
        if self._task is not None and not self._task.done():
            await self._begun.wait()  # what is cancelled before its first step never runs at all
            self._task.cancel()
            await asyncio.wait({self._task})

    async def leave(self) -> None:
        """The client that asked for it has gone."""
        if not self.background:
            await self.cancel()

    async def _go(self, source: AsyncGenerator[Wire, None], end: End) -> None:
        self._begun.set()
        try:
            try:
                async with aclosing(source) as events:
                    async for event in events:
                        await self._take(event, end)
            except asyncio.CancelledError:
                await self._stop("response.incomplete", {"status": "cancelled"}, end)
            except OssiaError as error:
                await self._fail(error, end)
            except Exception:
                _log.exception("a response came to grief")
                fault = OssiaError("the server made a mistake", remedy="Its log says which.")
                fault.http_status = 500
                await self._fail(fault, end)
        finally:
            self.over = True
            self._wake()

    async def _take(self, event: Wire, end: End) -> None:
        if "response" in event:
            self.response = event["response"]
        if event["type"] == "response.output_item.done":
            self._items[event["output_index"]] = event["item"]
        if event["type"] in TERMINAL:
            await end(self.response)
        self._publish(event)

    async def _fail(self, error: OssiaError, end: End) -> None:
        self.error = error
        told = openai_error(error)["error"]
        failed = {"code": told["code"] or "server_error", "message": told["message"]}
        try:
            await self._stop("response.failed", {"status": "failed", "error": failed}, end)
        except OssiaError:  # it could not be stored: that it failed is still told
            _log.exception("a failed response could not be stored")

    async def _stop(self, kind: str, changes: Wire, end: End) -> None:
        """End it before its time, with the items that were complete."""
        self.response = {**self.response, "output": self.items, **changes}
        told = bool(self.events)
        try:
            await end(self.response)
        finally:
            if told:
                self.tell(kind)

    def _publish(self, event: Wire) -> None:
        self.events.append({**event, "sequence_number": len(self.events)})
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


class Runs:
    """The runs of a server: those under way, and for a while those that are over. `tasks` holds what must end
    before the server does."""

    def __init__(
        self, tasks: set[asyncio.Task[Any]], *, keep_s: float = KEEP_S, max_kept: int = MAX_KEPT
    ) -> None:
        self._tasks = tasks
        self._keep_s = keep_s
        self._max_kept = max_kept
        self._runs: dict[tuple[str, str], Run] = {}

    def get(self, owner: str, id: str) -> Run | None:
        return self._runs.get((owner, id))

    def items(self, owner: str) -> list[Wire]:
        """All items of that owner's runs, given and made."""
        own = [run for run in self._runs.values() if run.owner == owner]
        given = [item for run in own if run.record is not None for item in run.record.input_items]
        return [*(item for run in own for item in run.items), *given]

    def start(self, run: Run, source: AsyncGenerator[Wire, None], end: End) -> None:
        """Have `run` make its events, to be found until it is over, and a while longer where it is kept."""
        self._runs[run.owner, run.id] = run
        task = run.start(source, end)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._over(run, done))

    def forget(self, owner: str, id: str) -> None:
        """Drop a run that is over."""
        self._runs.pop((owner, id), None)

    def _over(self, run: Run, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not run.kept or task.cancelled():
            self.forget(run.owner, run.id)
            return
        asyncio.get_running_loop().call_later(self._keep_s, self.forget, run.owner, run.id)
        over = [key for key, other in self._runs.items() if other.over]
        for key in over[: max(len(over) - self._max_kept, 0)]:
            del self._runs[key]
