"""How many requests are answered at once, and how many may wait."""

import asyncio
from collections import deque

from ossia.errors import OverloadedError

RUNNING = 8  # as many as the engine batches
WAITING = 64


class Admission:
    """A queue in order of arrival, in one event loop. `running` requests are answered at once, up to
    `waiting` more wait; beyond that a ticket is refused."""

    def __init__(self, running: int = RUNNING, waiting: int = WAITING) -> None:
        self._places = running
        self._waiting = waiting
        self._queue: deque[Ticket] = deque()
        self._running = 0

    @property
    def running(self) -> int:
        return self._running

    @property
    def queued(self) -> int:
        return len(self._queue)

    def ticket(self) -> "Ticket":
        """A place in the queue; raises OverloadedError where it is full."""
        if self._running < self._places and not self._queue:
            self._running += 1
            return Ticket(self, ready=True)
        if len(self._queue) >= self._waiting:
            raise OverloadedError(
                f"{self._running} requests are being answered and {len(self._queue)} wait",
                value=len(self._queue),
                limit=self._waiting,
                remedy="Try again later.",
            )
        ticket = Ticket(self, ready=False)
        self._queue.append(ticket)
        return ticket

    def leave(self, ticket: "Ticket") -> None:
        """Give the ticket's place to the next one that waits."""
        if not ticket.ready:
            self._queue.remove(ticket)
            return
        if self._queue:
            self._queue.popleft().call()
        else:
            self._running -= 1


class Ticket:
    """A place in the queue."""

    def __init__(self, admission: Admission, *, ready: bool) -> None:
        self._admission = admission
        self._called = asyncio.Event()
        self._left = False
        if ready:
            self._called.set()

    @property
    def ready(self) -> bool:
        """Whether its turn has come."""
        return self._called.is_set()

    def call(self) -> None:
        self._called.set()

    async def turn(self) -> None:
        """Wait until it is this one's turn; a wait that is cancelled gives the place up."""
        try:
            await self._called.wait()
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Done, or given up. Twice is no mistake."""
        if not self._left:
            self._left = True
            self._admission.leave(self)
