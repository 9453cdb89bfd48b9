"""One model in memory, another installed one in its place when that is asked for and nobody uses the first.

Requests are given the model in order of arrival: who wants another than the one in memory waits until it is
idle, and who comes later, wanting the one in memory, waits behind. So nobody waits for ever, and models are
exchanged as seldom as the order allows.
"""

import asyncio
import gc
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace

from ossia.agent.model import Model
from ossia.hub.progress import Progress
from ossia.hub.sources import FoundModel
from ossia.server.models.catalogue import Catalogue
from ossia.server.models.entry import ModelEntry
from ossia.server.operations.admission import stopping

Loader = Callable[[FoundModel, Progress], Model]
"""Reads a model into memory, in whatever time that takes; told how far it is."""

FOREVER_S = -1.0


@dataclass(eq=False, slots=True)
class _Resident:
    """The model in memory; `keep_alive_s` as its last lease wanted it, `expires_at` in seconds since 1970."""

    name: str
    found: FoundModel
    model: Model
    keep_alive_s: float
    leases: int = 0
    leaving: bool = False  # as soon as nobody uses it
    expires_at: float | None = None


@dataclass(eq=False, slots=True)
class _Waiting:
    name: str
    given: "asyncio.Future[_Resident]"


class HubModels:
    """The `Models` of this computer, in one event loop. `keep_alive_s`: how long an idle model stays in
    memory, below 0 for ever."""

    def __init__(self, catalogue: Catalogue, load: Loader, *, keep_alive_s: float = FOREVER_S) -> None:
        self._catalogue = catalogue
        self._load = load
        self._keep_alive_s = keep_alive_s
        self._queue: deque[_Waiting] = deque()
        self._resident: _Resident | None = None
        self._changing: asyncio.Task[None] | None = None
        self._loading: tuple[str, float] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def installed(self) -> list[ModelEntry]:
        here = self.resident()
        entries = self._catalogue.entries()
        return [here if here is not None and entry.name == here.name else entry for entry in entries]

    def resident(self) -> ModelEntry | None:
        if (here := self._resident) is None:
            return None
        entry = self._catalogue.entry(here.name, here.found)
        context = here.model.backend.context_length
        return replace(entry, context_length=context, expires_at=here.expires_at)

    def current(self) -> Model | None:
        return None if self._resident is None else self._resident.model

    def loading(self) -> tuple[str, float] | None:
        return self._loading

    def resolve(self, name: str | None) -> str:
        return self._catalogue.resolve(name)

    def lease(self, name: str, keep_alive_s: float | None = None) -> AbstractAsyncContextManager[Model]:
        return self._lease(name, keep_alive_s)

    def unload(self, name: str) -> None:
        if (here := self._resident) is not None and here.name == name:
            here.leaving = True
            self._rest()

    async def preload(self) -> None:
        """Have the default model in memory; raises what loading raises."""
        async with self._lease(self._catalogue.default, None):
            pass

    def drain(self) -> None:
        self._closed = True
        for waiting in self._queue:
            if not waiting.given.done():
                waiting.given.set_exception(stopping())
        self._queue.clear()

    async def close(self) -> None:
        """Free the memory; answers under way end with an error, who waits is refused."""
        self.drain()
        if self._changing is not None:
            await asyncio.wait({self._changing})
        await self._free()

    @asynccontextmanager
    async def _lease(self, name: str, keep_alive_s: float | None) -> AsyncGenerator[Model, None]:
        here = await self._wait_for(name)
        try:
            yield here.model
        finally:
            here.leases -= 1
            here.keep_alive_s = self._keep_alive_s if keep_alive_s is None else keep_alive_s
            self._rest()
            self._advance()

    async def _wait_for(self, name: str) -> _Resident:
        if self._closed:
            raise stopping()
        waiting = _Waiting(name, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._advance()
        try:
            return await waiting.given
        except asyncio.CancelledError:
            self._give_up(waiting)
            raise

    def _give_up(self, waiting: _Waiting) -> None:
        if waiting in self._queue:
            self._queue.remove(waiting)
        elif waiting.given.done() and not waiting.given.cancelled() and not waiting.given.exception():
            waiting.given.result().leases -= 1  # given in the moment it left
            self._rest()
        self._advance()

    def _advance(self) -> None:
        """Give the model to who is next, or begin to exchange it for the one that is wanted next."""
        while self._queue and self._changing is None:
            first, here = self._queue[0], self._resident
            if first.given.done():  # it left
                self._queue.popleft()
            elif here is not None and here.name == first.name:
                self._queue.popleft()
                here.leases += 1
                here.leaving = False
                here.expires_at = None
                first.given.set_result(here)
            elif here is None or not here.leases:
                self._changing = asyncio.create_task(self._exchange(first.name))
            else:
                return

    async def _exchange(self, name: str | None) -> None:
        """Put `name`, or nothing, in the place of what is in memory; who wanted it is told if that fails."""
        try:
            await self._free()
            if name is not None:
                await self._bring(name)
        except Exception as error:
            for waiting in [w for w in self._queue if w.name == name]:
                self._queue.remove(waiting)
                if not waiting.given.done():
                    waiting.given.set_exception(error)
        finally:
            self._loading = self._changing = None
            if not self._closed:
                self._rest()
                self._advance()

    async def _bring(self, name: str) -> None:
        found = self._catalogue.find(name)
        self._loading = (name, 0.0)
        model = await asyncio.to_thread(self._load, found, lambda _, done, all: self._tell(name, done, all))
        model.card = replace(model.card, name=name)
        self._resident = _Resident(name, found, model, self._keep_alive_s)

    def _tell(self, name: str, done: int, total: int) -> None:
        """How far the loading is; from its thread."""
        if self._closed:
            raise stopping()
        self._loading = (name, done / total if total else 0.0)

    async def _free(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if (here := self._resident) is not None:
            self._resident = None
            await here.model.aclose()
            del here
            await asyncio.to_thread(gc.collect)  # weights that hang in a cycle

    def _rest(self) -> None:
        """Where nobody uses the model: when will it leave the memory?"""
        here = self._resident
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if here is None or here.leases or self._changing is not None:
            return
        stays_s = 0.0 if here.leaving else here.keep_alive_s
        here.expires_at = None if stays_s < 0 else time.time() + stays_s
        if stays_s >= 0 and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(stays_s, self._expire)

    def _expire(self) -> None:
        self._timer = None
        here = self._resident
        if here is not None and not here.leases and self._changing is None and not self._closed:
            self._changing = asyncio.create_task(self._exchange(None))
