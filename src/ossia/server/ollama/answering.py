"""Answering /api/chat and /api/generate: one line per piece of the answer, or one object at its end."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ossia.errors import BackendError, OssiaError
from ossia.server.failures import ollama_error
from ossia.server.ollama.asked import Asked
from ossia.server.ollama.dialogue import Dialogue, context_of
from ossia.server.ollama.pieces import Kind, Piece, Teller, joined
from ossia.server.operations.caller import Caller
from ossia.server.service import Place, Service
from ossia.server.sse import stream, until_gone

NDJSON = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Line:
    """A piece of an answer; `end`, on the last one, is what the answer came to."""

    piece: Piece
    end: dict[str, Any] | None = None


async def respond(
    request: Request, place: Place, lines: AsyncGenerator[Line, None], asked: Asked, kind: Kind
) -> Response:
    """The response to a request: streamed, or whole. Leaves the queue where the client went away."""
    if asked.stream:
        return await stream(_encoded(lines, asked, kind), media_type=NDJSON, comment=None, failure=_told_late)
    try:
        body = await until_gone(request, _whole(lines, asked, kind))
    finally:
        place.give_up()
    return JSONResponse(body) if body is not None else Response(status_code=499)


async def answer(
    service: Service, caller: Caller, place: Place, asked: Asked, dialogue: Dialogue, kind: Kind
) -> AsyncGenerator[Line, None]:
    """The lines of an answer. Enters `place`. Raises as `Service.answer`, and BackendError where the backend
    gave the request up."""
    started = time.monotonic()
    async with place as model:
        load_s = time.monotonic() - started
        conversation = dialogue.conversation(model, asked.effort, service.today(), asked.response_format)
        options = asked.answer_options(model.card)
        teller = Teller(asked, caller, dialogue.notes)
        async with aclosing(service.answer(model, conversation, caller, **options)) as events:
            async for event in events:
                if (piece := teller.take(event)) is not None:
                    yield Line(piece)
        end = teller.end(load_s)
        finished = teller.finished
        assert finished is not None, "an answer ends with Finished"
        if finished.reason == "cancelled":
            raise BackendError("the backend gave up the request", remedy="Ask again.")
        if kind == "generate":
            end["context"] = context_of(model, finished.conversation)
        yield Line(Piece(), end)


def told(asked: Asked, kind: Kind, line: Line) -> dict[str, Any]:
    """A line as it is sent."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    head = {"model": asked.model, "created_at": now, **line.piece.told(kind)}
    return {**head, "done": line.end is not None, **(line.end or {})}


def _told_late(error: OssiaError) -> bytes:
    return encoded(ollama_error(error))


def encoded(value: Mapping[str, Any]) -> bytes:
    """One line of a stream."""
    return orjson.dumps(value) + b"\n"


async def _encoded(
    lines: AsyncGenerator[Line, None], asked: Asked, kind: Kind
) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            yield encoded(told(asked, kind, line))


async def _whole(lines: AsyncGenerator[Line, None], asked: Asked, kind: Kind) -> dict[str, Any]:
    pieces: list[Piece] = []
    end: dict[str, Any] | None = None
    async with aclosing(lines):
        async for line in lines:
            pieces.append(line.piece)
            end = line.end
    return told(asked, kind, Line(joined(pieces), end))
