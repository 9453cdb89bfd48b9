"""Streams of server-sent events, and requests whose client may go away.

Headers go out with the first event or after a short wait, so that what is wrong from the beginning still gets
its status. Comments keep a connection alive while a long prompt is read. A client that goes away ends the
generator, and with it the generation.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ossia.errors import OssiaError

_T = TypeVar("_T")

GRACE_S = 0.5  # for the first event, before the headers go out without it
COMMENT_S = 10.0
COMMENT = b": waiting\n\n"
DONE = b"data: [DONE]\n\n"

Comment = bytes | Callable[[], bytes]
"""What is sent while there is nothing to say; asked for each time where it changes."""


def dumped(data: Mapping[str, Any]) -> bytes:
    """JSON; also where a client's own values are echoed that orjson does not write: integers beyond 64 bits,
    halves of surrogate pairs."""
    try:
        return orjson.dumps(data)
    except TypeError:
        return json.dumps(data, separators=(",", ":")).encode()


def encode(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """One event; `event` is its name, where the dialect names its events."""
    name = b"" if event is None else b"event: " + event.encode() + b"\n"
    return name + b"data: " + dumped(data) + b"\n\n"


async def stream(
    events: AsyncGenerator[bytes, None],
    *,
    media_type: str = "text/event-stream",
    comment: Comment | None = COMMENT,
    headers: Mapping[str, str] | None = None,
    failure: Callable[[OssiaError], bytes] | None = None,
    comment_s: float = COMMENT_S,
) -> Response:
    """A response that sends `events` as they come. What they raise before the first of them, within a moment,
    is raised here; of an OssiaError later `failure` tells the client, and the stream ends. `comment`: what is
    sent every `comment_s` seconds of silence, None for nothing."""
    first = asyncio.ensure_future(anext(events, None))
    try:
        await asyncio.wait({first}, timeout=GRACE_S)
        if first.done():
            first.result()
    except BaseException:
        await _end(first)
        await events.aclose()
        raise
    told = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
    return _EventStream(first, events, comment, comment_s, failure, media_type=media_type, headers=told)


class _EventStream(Response):
    """Sends what a generator yields until it ends or nobody reads; the generator is closed either way."""

    def __init__(
        self,
        first: "asyncio.Future[bytes | None]",
        events: AsyncGenerator[bytes, None],
        comment: Comment | None,
        comment_s: float,
        failure: Callable[[OssiaError], bytes] | None,
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.body = b""
        self.init_headers(headers)
        del self.headers["content-length"]
        self._first = first
        self._events = events
        self._comment = comment
        self._comment_s = comment_s
        self._failure = failure
        self._sent_at = 0.0  # of the event loop's clock
        self._sending = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.ensure_future(self._send_all(send))
        waiting: list[asyncio.Future[None]] = [sending, asyncio.ensure_future(_gone(receive))]
        if self._comment is not None:
            waiting.append(asyncio.ensure_future(self._send_comments(self._comment, send)))
        try:
            await asyncio.wait(waiting[:2], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(self._first, *waiting)
            await self._events.aclose()
        if not sending.cancelled():
            with suppress(OSError):  # nobody reads
                sending.result()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            item = await self._first
            while item is not None:
                await self._put(item, send)
                item = await anext(self._events, None)
        except OssiaError as error:
            if self._failure is None:
                raise
            await self._put(self._failure(error), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _put(self, item: bytes, send: Send) -> None:
        self._sending = True
        await send({"type": "http.response.body", "body": item, "more_body": True})
        self._sending = False
        self._sent_at = asyncio.get_running_loop().time()

    async def _send_comments(self, comment: Comment, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        self._sent_at = clock()
        while True:
            await asyncio.sleep(max(self._sent_at + self._comment_s - clock(), 0.001))
            if not self._sending and clock() >= self._sent_at + self._comment_s:
                text = comment() if callable(comment) else comment
                self._sent_at = clock()
                await send({"type": "http.response.body", "body": text, "more_body": True})


async def until_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of `work`; None, and `work` cancelled, where the client goes away before. The body must have
    been read."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request.receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        await _end(working, watching)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel, and wait until they have ended; what they raised is dropped."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
