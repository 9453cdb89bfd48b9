"""One event loop in a thread of its own, so that synchronous code can follow asynchronous iterators."""

import asyncio
import contextvars
import queue
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ossia.errors import BackendError, InputError

_T = TypeVar("_T")
_STOP_S = 10.0  # how long a consumer waits for what it cancelled to clean up


@dataclass(frozen=True, slots=True)
class _Item:
    value: Any


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


class LoopThread:
    """Starts its thread when first needed; `close` ends it and everything that runs in it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def iterate(self, source: Callable[[], AsyncGenerator[_T, None]]) -> Generator[_T, None, None]:
        """Follow `source()`, run in the loop, from any other thread; context variables go with it.

        Closing the generator closes the source, and returns when it has cleaned up. Raises what the source
        raises, InputError when called from a coroutine in the loop itself, BackendError once closed.
        """
        items: queue.SimpleQueue[_Item | _End] = queue.SimpleQueue()
        job = self._spawn(_pump(source, items), items)
        try:
            while isinstance(item := items.get(), _Item):
                yield item.value
            if isinstance(item.error, asyncio.CancelledError):
                raise BackendError("the model was closed while it was answering", remedy="Load it again.")
            if item.error is not None:
                raise item.error
        finally:
            job.stop()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run one coroutine to its end."""

        async def once() -> AsyncGenerator[_T, None]:
            yield await coroutine

        with closing(self.iterate(once)) as values:
            return next(values)

    def close(self) -> None:
        """Cancel what runs and end the thread. Closing twice is no mistake."""
        with self._lock:
            self._closed = True
            if self._loop is not None:
                _stop(self._loop)
            thread, self._loop, self._thread = self._thread, None, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(_STOP_S)

    def _spawn(
        self, coroutine: Coroutine[Any, Any, None], items: "queue.SimpleQueue[_Item | _End]"
    ) -> "_Job":
        try:
            with self._lock:  # nothing may be handed to a loop that was told to stop
                return _Job(self._running(), coroutine, items)
        except BaseException:
            coroutine.close()
            raise

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._closed:
            raise BackendError("the model is closed", remedy="Load it again.")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="ossia-agent", daemon=True
            )
            self._thread.start()
            weakref.finalize(self, _stop, self._loop)
        if _is_running(self._loop):
            raise InputError(
                "a synchronous method was called where it would block the loop it waits for",
                remedy="In an asynchronous tool use asend and astream.",
            )
        return self._loop


class _Job:
    """A coroutine running in a loop of another thread; its end goes into `items` whatever happens."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, None],
        items: "queue.SimpleQueue[_Item | _End]",
    ) -> None:
        self._loop = loop
        self._items = items
        self._done = threading.Event()
        self._task: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(self._start, coroutine, context=contextvars.copy_context())

    def stop(self) -> None:
        """Cancel, and wait until it has cleaned up."""
        if self._done.is_set():
            return
        with suppress(RuntimeError):  # the loop is closed: nothing runs any more
            self._loop.call_soon_threadsafe(self._cancel)
            if not _is_running(self._loop):  # a forgotten generator may be collected in any thread
                self._done.wait(_STOP_S)

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(coroutine)
        self._task.add_done_callback(self._finish)

    def _cancel(self) -> None:
        assert self._task is not None, "callbacks run in the order they were given"
        self._task.cancel()

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._items.put(_End(asyncio.CancelledError() if task.cancelled() else task.exception()))
        self._done.set()


async def _pump(
    source: Callable[[], AsyncGenerator[Any, None]], items: "queue.SimpleQueue[_Item | _End]"
) -> None:
    async with aclosing(source()) as values:
        async for value in values:
            items.put(_Item(value))


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether this very thread is running `loop`."""
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    with suppress(RuntimeError):  # closed already
        loop.call_soon_threadsafe(loop.stop)
