"""Responses over a WebSocket, on the path that creates them: requests come in, the events of each go out.

Requests of one lane (`stream_id`) are answered one after the other, lanes at the same time. Responses of a
connection can be gone on from within it, stored or not. A client that goes away stops what was under way.
"""

import asyncio
import logging
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ossia.errors import InputError, OssiaError, OverloadedError
from ossia.server import sse
from ossia.server.bodies import parse_object
from ossia.server.failures import openai_error
from ossia.server.operations.caller import caller_of
from ossia.server.responses.state.answers import Answers
from ossia.server.responses.state.runs import Wire
from ossia.server.store.records import StoredResponse

MAX_WAITING = 32  # requests of one connection
MAX_KEPT = 32  # responses it can be gone on from
_log = logging.getLogger(__name__)
_ENVELOPE = ("type", "stream_id", "generate", "background", "stream")


async def serve(answers: Answers, socket: WebSocket) -> None:
    """One connection, from its beginning to its end."""
    await socket.accept()
    session = _Session(answers, socket)
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            await session.take(message.get("text") or message.get("bytes") or "")
    finally:
        await session.close()


class _Session:
    """What one connection has under way."""

    def __init__(self, answers: Answers, socket: WebSocket) -> None:
        self._answers = answers
        self._socket = socket
        self._caller = caller_of(socket)
        self._kept: dict[str, StoredResponse] = {}
        self._lanes: dict[object, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sending = asyncio.Lock()

    async def take(self, data: str | bytes) -> None:
        """One message of the client's."""
        lane: object = None
        try:
            event = parse_object(data)
            lane = event.get("stream_id")
            self._begin(event, lane)
        except OssiaError as error:
            await self._refuse(error, lane)

    async def close(self) -> None:
        """Stop everything."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _begin(self, event: Wire, lane: object) -> None:
        kind = event.get("type")
        if kind == "response.steer":
            self._spawn(self._refuse_steering(event))
            return
        if kind != "response.create" or event.get("background"):
            raise InputError(
                "background is not for WebSockets"
                if event.get("background")
                else f"no event of type {kind!r}",
                value=kind,
                limit="response.create",
                remedy="Send response.create, without background.",
                param="type",
            )
        if len(self._tasks) >= MAX_WAITING:
            raise OverloadedError(
                f"{len(self._tasks)} requests of this connection wait",
                limit=MAX_WAITING,
                remedy="Send the next when one has ended.",
            )
        key = lane if isinstance(lane, str) else None
        task = self._spawn(self._answer(event, lane, self._lanes.get(key)))
        self._lanes[key] = task
        task.add_done_callback(lambda done: self._lanes.get(key) is done and self._lanes.pop(key))

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, event: Wire, lane: object, before: "asyncio.Task[None] | None") -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        body = {name: value for name, value in event.items() if name not in _ENVELOPE} | {"stream": True}
        try:
            if event.get("generate") is False:
                await self._prepare(body, lane)
            else:
                await self._run(body, lane)
        except OssiaError as error:
            await self._refuse(error, lane)
        except WebSocketDisconnect:
            pass  # the connection's own end is under way
        except Exception:
            _log.exception("a request over a WebSocket came to grief")
            fault = OssiaError("the server made a mistake", remedy="Its log says which.")
            fault.http_status = 500
            await self._refuse(fault, lane)

    async def _run(self, body: Wire, lane: object) -> None:
        run = await self._answers.begin(self._caller, body, kept=self._kept)
        try:
            async for event in run.follow():
                if event["type"] == "response.completed":
                    self._keep(run.record)
                await self._send(event, lane)
        finally:
            await run.leave()

    async def _prepare(self, body: Wire, lane: object) -> None:
        """Take in what is to be gone on from, without an answer."""
        record = await self._answers.note(self._caller, body, kept=self._kept)
        self._keep(record)
        for number, kind in enumerate(("created", "completed")):
            told = {"type": f"response.{kind}", "sequence_number": number, "response": record.body}
            await self._send(told, lane)

    def _keep(self, record: StoredResponse | None) -> None:
        if record is not None:
            self._kept[record.id] = record
            for id in list(self._kept)[:-MAX_KEPT]:
                del self._kept[id]

    async def _refuse(self, error: OssiaError, lane: object) -> None:
        told = openai_error(error)["error"]
        inner = {**told, "code": told["code"] or told["type"]}
        await self._send({"type": "error", "status": error.http_status, "error": inner}, lane)

    async def _refuse_steering(self, event: Wire) -> None:
        error = {
            "code": "steering_not_supported",
            "message": "This server does not take input for a response under way.",
            "type": "invalid_request_error",
        }
        steer = {name: event.get(name) for name in ("input", "previous_response_id")}
        await self._send(
            {"type": "response.steer.failed", "sequence_number": 0, "error": error, "steer": steer}, None
        )

    async def _send(self, event: Wire, lane: object) -> None:
        told = event if lane is None else {**event, "stream_id": lane}
        async with self._sending:
            await self._socket.send_text(sse.dumped(told).decode())
