"""The process around the application: its sockets, its signals, and an end in good order.

At the first signal nothing new is taken and what runs may finish; after the time of grace it ends with an
error its client can read. A second signal ends everything at once.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from math import inf
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from ossia.errors import SettingsError
from ossia.server.front.connections import CONNECTIONS, HEAD_S, ConnectionConfig
from ossia.server.front.gate import MAX_BODY_BYTES
from ossia.server.service import Service

HOST = "127.0.0.1"
PORT = 11500
GRACE_S = 30.0
_LAST_WORDS_S = 5.0  # for errors to reach their clients when the grace is over
_BACKLOG = 512


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises SettingsError for a port that is taken, or an
    address that is not this computer's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host.strip("[]"), port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}",
            value=f"{host}:{port}",
            remedy="Another server may be running there. Choose another with --port, or 0 for any free one.",
        ) from error
    listening.setblocking(False)
    return listening


class Host(uvicorn.Server):
    """Runs `app` over `service` until it is told to stop, or `stop` is called."""

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        *,
        grace_s: float = GRACE_S,
        max_body_bytes: int = MAX_BODY_BYTES,
        head_s: float = HEAD_S,
        connections: int = CONNECTIONS,
    ) -> None:
        config = ConnectionConfig(
            app,
            head_s=head_s,
            connections=connections,
            log_config=None,
            access_log=False,
            server_header=False,
            ws_max_size=max_body_bytes,
            timeout_graceful_shutdown=int(_LAST_WORDS_S),
            lifespan="on",
        )
        super().__init__(config)
        self._service = service
        self._grace_s = grace_s

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on listening sockets until told to stop; what is logged meanwhile goes into the journal."""
        with self._service.journal.collecting():
            await super().serve(sockets)

    def stop(self) -> None:
        """Begin to stop, as the first signal does."""
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take nothing new, let what runs finish within the grace, then end it."""
        for server in self.servers:
            server.close()
        self._service.admission.close()
        self._service.models.drain()
        await self._until(lambda: self._service.admission.idle, self._grace_s)
        closing = asyncio.ensure_future(self._service.models.close())  # answers under way end with an error
        await self._until(closing.done)
        await self._until(lambda: self._service.admission.idle, _LAST_WORDS_S)
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second signal, of either kind, ends everything at once."""
        self.force_exit = self.force_exit or self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """As uvicorn's, but a signal that was obeyed is not raised again: that end is a good one."""
        kinds = [signal.SIGINT, signal.SIGTERM]
        before = {}
        with suppress(ValueError):  # not the main thread: a test's
            before = {kind: signal.signal(kind, self.handle_exit) for kind in kinds}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    async def _until(self, condition: Callable[[], bool], seconds: float = inf) -> None:
        """Wait for it, no longer than that, and no more after a second signal."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while not (self.force_exit or condition()) and clock() < end:
            await asyncio.sleep(0.02)
