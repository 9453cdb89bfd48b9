"""How many requests are answered at once, and how many may wait."""

import asyncio
import math
import time
from collections import Counter, deque

from ossia.errors import OssiaError, OverloadedError, StoppingError

RUNNING = 8  # as many as the engine batches
WAITING = 64
_FIRST_GUESS_S = 5.0  # of an answer, before one was measured
_LONGEST_WAIT_S = 600
_WEIGHT = 0.2  # of the newest answer in the mean


class Admission:
    """A queue in order of arrival, in one event loop. `running` requests are answered at once, up to
    `waiting` more wait; beyond that a ticket is refused, with the time after which one is to be expected."""

    def __init__(self, running: int = RUNNING, waiting: int = WAITING) -> None:
        self._places = running
        self._waiting = waiting
        self._queue: deque[Ticket] = deque()
        self._running = 0
        self._owners: Counter[str] = Counter()
        self._mean_s: float | None = None
        self._closed = False

    @property
    def running(self) -> int:
        return self._running

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def idle(self) -> bool:
        return not self._running and not self._queue

    def ticket(self, owner: str = "", limit: int | None = None) -> "Ticket":
        """A place in the queue; raises OverloadedError where it is full, or where `owner` has `limit` places
        already, and StoppingError once closed."""
        if self._closed:
            raise stopping()
        if limit is not None and self._owners[owner] >= limit:
            raise self._refusal(f"this key has {limit} requests under way", self._owners[owner], limit)
        if self._running >= self._places and len(self._queue) >= self._waiting:
            said = f"{self._running} requests are being answered and {len(self._queue)} wait"
            raise self._refusal(said, len(self._queue), self._waiting)
        ticket = Ticket(self, owner)
        self._owners[owner] += 1
        self._queue.append(ticket)
        self._call()
        return ticket

    def leave(self, ticket: "Ticket") -> None:
        """Give the ticket's place to the next one that waits."""
        self._owners[ticket.owner] -= 1
        if not self._owners[ticket.owner]:
            del self._owners[ticket.owner]
        if ticket.called_at is None:
            self._queue.remove(ticket)
        else:
            self._running -= 1
            self._measure(time.monotonic() - ticket.called_at)
        self._call()

    def close(self) -> None:
        """Give out no more tickets; who waits is refused."""
        self._closed = True
        for ticket in list(self._queue):
            ticket.refuse(stopping())

    def retry_after_s(self) -> int:
        """When a new request may expect a place, in whole seconds, by what answers took so far."""
        mean = _FIRST_GUESS_S if self._mean_s is None else self._mean_s
        return min(max(math.ceil((len(self._queue) + 1) * mean / self._places), 1), _LONGEST_WAIT_S)

    def _call(self) -> None:
        while self._queue and self._running < self._places and not self._closed:
            self._running += 1
            self._queue.popleft().call()

    def _measure(self, seconds: float) -> None:
        mean = self._mean_s
        self._mean_s = seconds if mean is None else mean + _WEIGHT * (seconds - mean)

    def _refusal(self, said: str, value: int, limit: int) -> OverloadedError:
        after = self.retry_after_s()
        remedy = f"Try again in {after} s."
        return OverloadedError(said, value=value, limit=limit, remedy=remedy, retry_after_s=after)


class Ticket:
    """A place in the queue, `owner`'s. `called_at`: when its turn came, None before."""

    def __init__(self, admission: Admission, owner: str) -> None:
        self.owner = owner
        self.called_at: float | None = None
        self._admission = admission
        self._decided = asyncio.Event()
        self._refused: OssiaError | None = None
        self._left = False

    @property
    def ready(self) -> bool:
        """Whether its turn has come."""
        return self.called_at is not None

    def call(self) -> None:
        self.called_at = time.monotonic()
        self._decided.set()

    def refuse(self, error: OssiaError) -> None:
        self._refused = error
        self._decided.set()

    async def turn(self) -> None:
        """Wait until it is this one's turn; a wait that is cancelled or refused gives the place up."""
        try:
            await self._decided.wait()
            if self._refused is not None and not self.ready:
                raise self._refused
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Done, or given up. Twice is no mistake."""
        if not self._left:
            self._left = True
            self._admission.leave(self)


def stopping() -> StoppingError:
    """What a request is told that comes while the server stops."""
    return StoppingError("the server is stopping", remedy="Ask again when it has started.")
