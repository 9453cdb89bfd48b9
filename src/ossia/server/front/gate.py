"""The way in: who calls and from where, how much they may send and how slowly, and what is noted of it.

One middleware around every dialect. It sets `request.state.caller`, answers what may not pass, and cuts off
who sends or reads too slowly.
"""

import ipaddress
import time
from asyncio import timeout
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ossia.errors import ForbiddenError, InputError, OssiaError, SlowRequestError, TooLargeError
from ossia.server.failures import headers_of, ollama_error, openai_error
from ossia.server.operations.caller import Caller
from ossia.server.operations.keys import KeyRing
from ossia.server.operations.record import Record
from ossia.server.service import Service

MAX_BODY_BYTES = 32 << 20
REQUEST_ID = "x-request-id"
CLIENT_LEFT = 499  # a status for the log: the client went away before there was one

_OPEN_PATHS = ("/", "/health")
_OPEN_FOLDERS = ("/page/",)
_DIALECTS = (
    ("/v1/responses", "responses"),
    ("/v1/conversations", "responses"),
    ("/openresponses/", "responses"),
    ("/v1/chat/", "chat"),
    ("/v1/models", "models"),
    ("/api/", "ollama"),
    ("/v1/", "chat"),
)
_LOCAL_NAMES = ("localhost", "host.docker.internal")
_APPLICATIONS = ("app", "tauri", "vscode-webview", "vscode-file")  # schemes no web page can have


@dataclass(frozen=True, slots=True)
class Access:
    """What the gate lets through.

    `keys`: None where none is ever needed. `local_names`: only requests to this computer by its own names
    pass without a key, so that a web page cannot reach it by a name of its own. `origins`: pages of other
    origins that may call. `body_s` and `write_s`: seconds for a body to arrive, and for a client to take what
    is sent.
    """

    keys: KeyRing | None = None
    local_names: bool = False
    origins: tuple[str, ...] = ()
    max_body_bytes: int = MAX_BODY_BYTES
    body_s: float = 60.0
    write_s: float = 60.0


class Gate:
    """The middleware."""

    def __init__(self, app: ASGIApp, service: Service, access: Access) -> None:
        self._app = app
        self._service = service
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, receive, send, self._access)
        begun = time.monotonic()
        try:
            await self._pass(passage)
        except _NobodyReadsError:
            pass  # the connection is closed by who called us
        except Exception:
            passage.record.status = passage.record.status or 500
            raise
        finally:
            self._note(passage.record, time.monotonic() - begun)

    async def _pass(self, passage: "_Passage") -> None:
        scope = passage.scope
        try:
            caller = self._caller(HTTPConnection(scope), passage.record)
            passage.check_headers()
        except OssiaError as error:
            body = ollama_error(error) if scope["path"].startswith("/api/") else openai_error(error)
            refusal = JSONResponse(body, status_code=error.http_status, headers=headers_of(error))
            await refusal(scope, passage.receive, passage.send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._app(scope, passage.receive, passage.send)

    def _caller(self, connection: HTTPConnection, record: Record) -> Caller:
        """Who calls; raises ForbiddenError for where from, UnauthorizedError for a missing or wrong key."""
        keys, headers = self._access.keys, connection.headers
        needed = keys is not None and keys.needed
        if self._access.local_names and not needed:
            _check_host(headers.get("host", ""))
        _check_origin(headers, self._access.origins)
        if keys is None or not needed or _is_open(connection.scope["path"]):
            return Caller(record=record)
        key = keys.check(_secret(headers))
        record.owner = key.id
        return Caller(key.id, key.sees_reasoning, key.at_once, record)

    def _note(self, record: Record, seconds: float) -> None:
        if record.status is None:
            record.status = CLIENT_LEFT
        self._service.metrics.request(record.dialect, record.status, seconds)
        if record.method != "WEBSOCKET" or record.status >= 400:
            self._service.journal.request(record)
        record.over = True


class _NobodyReadsError(OSError):
    """The client does not take what is sent."""


class _Passage:
    """One request on its way through: its `receive` and `send` keep the limits and fill the record."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, access: Access) -> None:
        self.scope = scope
        self.record = Record(
            method=scope.get("method", "WEBSOCKET"), path=scope["path"], dialect=_dialect(scope["path"])
        )
        self._receive = receive
        self._send = send
        self._access = access
        self._read = 0
        self._whole = scope["type"] == "websocket"
        self._deadline = time.monotonic() + access.body_s

    def check_headers(self) -> None:
        """Raises TooLargeError for a body that is announced too large, InputError for a compressed one."""
        headers = Headers(scope=self.scope)
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._access.max_body_bytes:
            raise self._too_large(int(announced))
        if (encoding := headers.get("content-encoding", "identity").lower()) != "identity":
            raise InputError(
                f"the request's body is compressed ({encoding})",
                value=encoding,
                limit="identity",
                remedy="Send it uncompressed.",
            )

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise self._too_slow() from None
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._whole = True
        self._read += len(message.get("body", b""))
        if self._read > self._access.max_body_bytes:
            raise self._too_large(self._read)
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.record.status = message["status"]
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[REQUEST_ID] = self.record.id
        elif kind == "websocket.accept":
            self.record.status = 101
            self.record.over = True  # its answers have lines of their own
        await self._in_time(self._send, message)

    async def _in_time(self, send: Callable[[Message], Awaitable[None]], message: Message) -> None:
        scope = timeout(self._access.write_s)
        try:
            async with scope:
                await send(message)
        except TimeoutError:
            if not scope.expired():
                raise
            raise _NobodyReadsError("the client does not read") from None

    def _too_large(self, size: int) -> TooLargeError:
        limit = self._access.max_body_bytes
        return TooLargeError(
            f"the request's body is larger than {limit:,} bytes",
            value=size,
            limit=limit,
            remedy="Send less at once, or start the server with a larger --max-body.",
        )

    def _too_slow(self) -> SlowRequestError:
        limit = self._access.body_s
        return SlowRequestError(
            f"the request's body did not arrive within {limit:g} s", limit=limit, remedy="Send it faster."
        )


def is_loopback(host: str) -> bool:
    """Whether an address, or a name, can only mean this computer."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _check_host(host: str) -> None:
    """Raises ForbiddenError where a request without a key calls this computer by a foreign name: a web page
    whose name was made to point here."""
    name = (urlsplit(f"//{host}").hostname or "") if host else ""
    if host and not is_loopback(name) and name not in _LOCAL_NAMES:
        raise ForbiddenError(
            f"the request is addressed to {name!r}, which is not this computer's own name",
            value=name,
            limit=["localhost", "127.0.0.1", "[::1]"],
            remedy="Use http://127.0.0.1, or have the server ask for a key: ossia keys create NAME",
        )


def _check_origin(headers: Headers, allowed: tuple[str, ...]) -> None:
    """Raises ForbiddenError for a web page of another origin."""
    origin = headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    parts = urlsplit(origin)
    if parts.scheme in _APPLICATIONS or (parts.netloc and parts.netloc == headers.get("host")):
        return
    raise ForbiddenError(
        f"web pages of {origin} may not use this server",
        value=origin,
        limit=list(allowed),
        remedy=f"Start it with --cors {origin}, if you trust them.",
    )


def _secret(headers: Headers) -> str | None:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return headers.get("x-api-key") or headers.get("api-key")


def _is_open(path: str) -> bool:
    return path in _OPEN_PATHS or path.startswith(_OPEN_FOLDERS)


def _dialect(path: str) -> str:
    return next((name for start, name in _DIALECTS if path.startswith(start)), "other")
