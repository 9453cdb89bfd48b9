"""Connections: who sends a request's head too slowly is cut off, and the idlest makes room for a new one."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

if sys.platform != "win32":
    import resource

HEAD_S = 10.0  # for a request's line and headers
KEEP_ALIVE_S = 75  # longer than clients keep an idle connection, so that they never use one we just closed
CONNECTIONS = 1000
_OTHER_FILES = 256  # besides connections
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


def allow_files(connections: int = CONNECTIONS) -> None:
    """Let this process have so many connections open beside its files, as far as the system lets it."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class ConnectionConfig(uvicorn.Config):
    """uvicorn's configuration, and what it has no setting for."""

    def __init__(
        self, app: Any, *, head_s: float = HEAD_S, connections: int = CONNECTIONS, **options: Any
    ) -> None:
        super().__init__(app, http=Connection, timeout_keep_alive=KEEP_ALIVE_S, **options)
        self.head_s = head_s
        self.connections = connections


class Connection(H11Protocol):
    """One client's connection, until it becomes a WebSocket."""

    def __init__(
        self,
        config: ConnectionConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.idle_since = self.loop.time()
        self._head_s = config.head_s
        self._most = config.connections
        self._patience: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self._most:
            self._make_room()
        super().connection_made(transport)
        if len(self.connections) > self._most:
            transport.write(_FULL)
            transport.close()
        self._expect_head(self._head_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.idle or self not in self.connections:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()
        if self.idle:
            self._expect_head(self.timeout_keep_alive + self._head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        """Close the connection that has been idle longest."""
        idle = [c for c in self.connections if isinstance(c, Connection) and c.idle]
        if idle:
            idlest = min(idle, key=lambda c: c.idle_since)
            idlest.transport.abort()
            self.connections.discard(idlest)

    def _expect_head(self, seconds: float) -> None:
        self._stop_waiting()
        self._patience = self.loop.call_later(seconds, self._cut)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _cut(self) -> None:
        self._patience = None
        if self.idle and not self.transport.is_closing():
            self.transport.abort()
