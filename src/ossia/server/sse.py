"""Streams of server-sent events, and requests whose client may go away.

Headers go out with the first event or after a short wait, so that what is wrong from the beginning still gets
its status. Comments keep a connection alive while a long prompt is read. A client that goes away ends the
generator, and with it the generation.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ossia.errors import OssiaError

_T = TypeVar("_T")

GRACE_S = 0.5  # for the first event, before the headers go out without it
COMMENT_S = 10.0
COMMENT = b": waiting\n\n"
DONE = b"data: [DONE]\n\n"


def encode(data: Mapping[str, Any], event: str | None = None) -> bytes:
    """One event; `event` is its name, where the dialect names its events."""
    name = b"" if event is None else b"event: " + event.encode() + b"\n"
    return name + b"data: " + orjson.dumps(data) + b"\n\n"


async def stream(
    events: AsyncGenerator[bytes, None],
    *,
    media_type: str = "text/event-stream",
    comment: bytes | None = COMMENT,
    headers: Mapping[str, str] | None = None,
    failure: Callable[[OssiaError], bytes] | None = None,
) -> Response:
    """A response that sends `events` as they come. What they raise before the first of them, within a moment,
    is raised here; of an OssiaError later `failure` tells the client, and the stream ends. `comment`: what is
    sent every 10 seconds of silence, None for nothing."""
    first = asyncio.ensure_future(anext(events, None))
    try:
        await asyncio.wait({first}, timeout=GRACE_S)
    except BaseException:
        first.cancel()
        raise
    if first.done():
        first.result()
    told = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **(headers or {})}
    body = _body(first, events, comment, failure)
    return StreamingResponse(body, media_type=media_type, headers=told)


async def _body(
    first: "asyncio.Future[bytes | None]",
    events: AsyncGenerator[bytes, None],
    comment: bytes | None,
    failure: Callable[[OssiaError], bytes] | None,
) -> AsyncIterator[bytes]:
    coming = first
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=None if comment is None else COMMENT_S)
            if not done:
                yield comment or b""
                continue
            if (item := coming.result()) is None:
                return
            yield item
            coming = asyncio.ensure_future(anext(events, None))
    except OssiaError as error:
        if failure is None:
            raise
        yield failure(error)
    finally:
        coming.cancel()
        await asyncio.wait({coming})
        await events.aclose()


async def until_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T | None:
    """The result of `work`; None, and `work` cancelled, where the client goes away before. The body must have
    been read."""
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.wait({working, watching})


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
