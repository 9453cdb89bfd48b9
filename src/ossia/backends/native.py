"""The engine on a thread of its own, read from any number of event loops.

Only the engine's thread touches the engine. Callers leave commands in an inbox; tokens travel back with
one wake-up per event loop and step. An idle engine sleeps on a condition.

While it has work the thread keeps the process's switch interval short (`engine.switch_interval`), and
restores it when it has none.
"""

import asyncio
import atexit
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ossia.backends.base import Capabilities, Item
from ossia.engine.engine import Engine, EngineStats, Output
from ossia.engine.sequence import Sequence as EngineSequence
from ossia.engine.switch_interval import SwitchInterval
from ossia.errors import BackendError, OssiaError
from ossia.model.sampling import PromptProgress, SamplingParams, Token

_Item = Item | OssiaError


@dataclass(eq=False, slots=True)
class _Stream:
    """One request: what is asked, where the tokens go, and its sequence once the engine has taken it."""

    prompt_ids: NDArray[np.int32]
    params: SamplingParams
    loop: asyncio.AbstractEventLoop
    queue: asyncio.Queue[_Item] = field(default_factory=asyncio.Queue[_Item])
    sequence: EngineSequence | None = None


class NativeBackend:
    """A Backend over `engine`, which belongs to it from now on. Close it, or it is closed at exit."""

    capabilities = Capabilities(masks=True, logprobs=True, forced_ids=True, prefix_cache=True)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wake = threading.Condition()  # guards the four below
        self._arriving: list[_Stream] = []
        self._leaving: list[_Stream] = []
        self._closing = False
        self._ended = False
        self._failure: BaseException | None = None
        self._streams: dict[EngineSequence, _Stream] = {}
        self._interval = SwitchInterval()
        # A daemon, or a program that forgot to close would never exit; atexit still ends the thread in
        # order, before the interpreter is taken apart.
        self._thread = threading.Thread(target=self._run, name="ossia-engine", daemon=True)
        atexit.register(self.shutdown)
        self._thread.start()

    @property
    def context_length(self) -> int:
        """Prompt and answer of one request together, at most, in tokens."""
        return self._engine.context_length

    @property
    def stats(self) -> EngineStats:
        """The engine's counters, as of now or a moment ago."""
        return self._engine.stats

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        """The answer's tokens; see `Backend.generate`. A request that cannot be run raises here; one that
        can is submitted when its first token is asked for."""
        ids = self._engine.check(prompt_ids, params)
        with self._wake:
            if self._closing or self._ended:
                raise self._gone()
        return self._generate(ids, params)

    async def close(self) -> None:
        """Stop after the step under way; requests under way end with BackendError."""
        self._ask_to_close()
        await asyncio.to_thread(self.shutdown)

    def shutdown(self) -> None:
        """`close` for callers without an event loop; returns when the thread has ended."""
        self._ask_to_close()
        self._thread.join()
        atexit.unregister(self.shutdown)

    def _ask_to_close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify()

    def _gone(self) -> BackendError:
        if self._failure is None:
            return BackendError("the backend was closed", remedy="Open the model again.")
        error = BackendError(f"the engine stopped: {self._failure!r}", remedy="Open the model again.")
        error.__cause__ = self._failure
        return error

    async def _generate(
        self, prompt_ids: NDArray[np.int32], params: SamplingParams
    ) -> AsyncGenerator[Item, None]:
        stream = _Stream(prompt_ids, params, asyncio.get_running_loop())
        self._post(self._arriving, stream)
        over = False
        try:
            if params.progress:
                yield PromptProgress(0, prompt_ids.size)
            while not over:
                item = await stream.queue.get()
                over = _is_last(item)
                if isinstance(item, OssiaError):
                    raise item
                yield item
        finally:
            if not over:
                self._post(self._leaving, stream)

    def _post(self, box: list[_Stream], stream: _Stream) -> None:
        with self._wake:
            if self._ended:
                stream.queue.put_nowait(self._gone())
                return
            box.append(stream)
            self._wake.notify()

    # From here on, everything runs on the engine's thread.

    def _run(self) -> None:
        try:
            while self._attend():
                if self._engine.has_work:
                    self._interval.shorten()
                    self._deliver(self._engine.step())
        except BaseException as failure:  # whatever it was, nobody may be left waiting
            self._failure = failure
        finally:
            self._interval.restore()
            self._leave()

    def _attend(self) -> bool:
        """Sleep until there is something to do, take in and drop requests; False once closing."""
        with self._wake:
            if not self._engine.has_work:
                self._interval.restore()
                while not (self._arriving or self._leaving or self._closing):
                    self._wake.wait()
            if self._closing:
                return False
            arriving, leaving = self._arriving[:], self._leaving[:]
            self._arriving.clear()
            self._leaving.clear()
        for stream in arriving:
            stream.sequence = self._engine.submit(stream.prompt_ids, stream.params)
            self._streams[stream.sequence] = stream
        for stream in leaving:
            self._drop(stream)
        return True

    def _drop(self, stream: _Stream) -> None:
        assert stream.sequence is not None, "a request left before it arrived"
        self._engine.cancel(stream.sequence)
        self._streams.pop(stream.sequence, None)

    def _deliver(self, outputs: list[Output]) -> None:
        """Hand tokens over, with one wake-up for each event loop: it costs a system call and the GIL."""
        parcels: defaultdict[asyncio.AbstractEventLoop, list[tuple[asyncio.Queue[_Item], _Item]]]
        parcels = defaultdict(list)
        for output in outputs:
            stream = self._streams.get(output.sequence)
            item = output.error or output.token or output.progress
            if stream is None or item is None:
                continue
            parcels[stream.loop].append((stream.queue, item))
            if _is_last(item):  # one step may bring several tokens
                del self._streams[output.sequence]
        for loop, parcel in parcels.items():
            if not _send(loop, parcel):  # the loop was closed under its readers
                for stream in [s for s in self._streams.values() if s.loop is loop]:
                    self._drop(stream)

    def _leave(self) -> None:
        """Tell everybody who still waits that nothing more will come, and free what they held."""
        with self._wake:
            self._ended = True
            stranded = [*self._streams.values(), *self._arriving]
            self._arriving.clear()
            self._leaving.clear()
        for stream in stranded:
            _send(stream.loop, [(stream.queue, self._gone())])
            if stream.sequence is not None and self._failure is None:
                self._engine.cancel(stream.sequence)
        self._streams.clear()


def _is_last(item: _Item) -> bool:
    return isinstance(item, OssiaError) or (isinstance(item, Token) and item.finish is not None)


def _send(loop: asyncio.AbstractEventLoop, parcel: list[tuple[asyncio.Queue[_Item], _Item]]) -> bool:
    try:
        loop.call_soon_threadsafe(_put, parcel)
    except RuntimeError:
        return False
    return True


def _put(parcel: list[tuple[asyncio.Queue[_Item], _Item]]) -> None:
    for queue, item in parcel:
        queue.put_nowait(item)
