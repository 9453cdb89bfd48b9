"""The routes of Ollama's API, as its clients use it."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ossia.errors import ForbiddenError, InputError, ModelNotFoundError
from ossia.server.bodies import read_json
from ossia.server.failures import ollama_error
from ossia.server.models.entry import ModelEntry
from ossia.server.ollama.answering import NDJSON, Line, answer, encoded, respond, told
from ossia.server.ollama.asked import Asked, model_name, read_asked, streams
from ossia.server.ollama.dialogue import read_chat, read_prompt
from ossia.server.ollama.listing import description, process, tag
from ossia.server.ollama.pieces import Kind, Piece
from ossia.server.ollama.spelling import resolved
from ossia.server.operations.caller import caller_of
from ossia.server.service import Service

VERSION = "0.13.5"
"""Ollama's version whose API this is: its clients ask before they use what is new."""

Handler = Callable[[Request], Awaitable[Response]]


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""
    api = _Api(service)
    get: dict[str, Handler] = {"version": api.version, "tags": api.tags, "ps": api.ps}
    post: dict[str, Handler] = {
        "show": api.show,
        "chat": api.chat,
        "generate": api.generate,
        "pull": api.pull,
        "copy": _unoffered("copies", "It knows a model by several names already."),
        "create": _unoffered("makes", "Give instructions as a system message."),
        "push": _unoffered("publishes", ""),
        "embed": api.embed,
        "embeddings": api.embed,
    }
    delete = _unoffered("deletes", "On its own computer: ossia rm NAME.")
    return [
        *(Route(f"/api/{name}", handler, methods=["GET"]) for name, handler in get.items()),
        *(Route(f"/api/{name}", handler, methods=["POST"]) for name, handler in post.items()),
        Route("/api/delete", delete, methods=["DELETE"]),
    ]


class _Api:
    """The handlers, over one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": VERSION})

    async def tags(self, request: Request) -> Response:
        return JSONResponse({"models": [tag(entry) for entry in self._service.models.installed()]})

    async def ps(self, request: Request) -> Response:
        resident = self._service.models.resident()
        return JSONResponse({"models": [] if resident is None else [process(resident)]})

    async def show(self, request: Request) -> Response:
        return JSONResponse(description(self._entry(model_name(await read_json(request)))))

    async def chat(self, request: Request) -> Response:
        body = await read_json(request)
        return await self._answer(request, body, "chat", bool(body.get("messages")))

    async def generate(self, request: Request) -> Response:
        body = await read_json(request)
        return await self._answer(request, body, "generate", bool(body.get("prompt") or body.get("images")))

    async def pull(self, request: Request) -> Response:
        """A model that is here is pulled at once; another one this server does not fetch."""
        body = await read_json(request)
        name = model_name(body)
        try:
            resolved(self._service.models, name)
        except ModelNotFoundError as error:
            error.remedy = f"This server fetches none; on its computer: ossia pull {name}"
            if streams(body):  # clients read a refusal in the stream, and not by its status
                return _lines(ollama_error(error))
            raise
        if streams(body):
            return _lines({"status": "the model is here already"}, {"status": "success"})
        return JSONResponse({"status": "success"})

    async def embed(self, request: Request) -> Response:
        name = model_name(await read_json(request))
        resolved(self._service.models, name)
        raise InputError(
            f'"{name}" does not support embeddings', value=name, remedy="Ask a model that is made for them."
        )

    async def _answer(self, request: Request, body: Mapping[str, Any], kind: Kind, asks: bool) -> Response:
        """Answer; where nothing is asked, only bring the model into memory, or have it leave."""
        asked = read_asked(body)
        name = resolved(self._service.models, asked.model)
        if not asks:
            return await self._move(request, asked, name, kind)
        dialogue = read_chat(body) if kind == "chat" else read_prompt(body)
        caller = caller_of(request)
        place = self._service.admit(caller, name, keep_alive_s=asked.keep_alive_s)
        lines = answer(self._service, caller, place, asked, dialogue, kind)
        return await respond(request, place, lines, asked, kind)

    async def _move(self, request: Request, asked: Asked, name: str, kind: Kind) -> Response:
        reason = "load"
        if asked.keep_alive_s == 0:
            reason = "unload"
            self._service.models.unload(name)
        else:
            async with self._service.admit(caller_of(request), name, keep_alive_s=asked.keep_alive_s):
                pass
        return JSONResponse(told(asked, kind, Line(Piece(), {"done_reason": reason})))

    def _entry(self, name: str) -> ModelEntry:
        wanted = resolved(self._service.models, name)
        return next((e for e in self._service.models.installed() if e.name == wanted), ModelEntry(wanted))


def _unoffered(does: str, remedy: str) -> Handler:
    async def refuse(request: Request) -> Response:
        raise ForbiddenError(f"this server never {does} models", value=request.url.path, remedy=remedy)

    return refuse


def _lines(*lines: Mapping[str, Any]) -> Response:
    async def body() -> AsyncGenerator[bytes, None]:
        for line in lines:
            yield encoded(line)

    return StreamingResponse(body(), media_type=NDJSON)
