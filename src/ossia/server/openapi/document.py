"""The whole document: the dialects' paths and schemas, and what they share."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ossia import __version__
from ossia.server.openapi import chat, ollama, responses, state
from ossia.server.openapi.operation import Answer, Operation, Paths, answer, in_path, operation
from ossia.server.openapi.schema import COUNT, NUMBER, OBJECT, TEXT, Fields, many, maybe, shape, words
from ossia.server.service import Service

PATH = "/openapi.json"
_ABOUT = (
    "OpenAI's Responses and Chat Completions, and Ollama's API, answered by a model on this computer. "
    "Responses are also answered over a WebSocket on the path of their creation. What this server says "
    'beyond those APIs is in one field named "ossia".'
)

_SHARED: Fields = {
    "Error": shape(
        {"error": shape({"message": TEXT, "type": TEXT, "param": maybe(TEXT), "code": maybe(TEXT)})}
    ),
    "Extension": shape(
        {},
        {
            "warnings": many(shape({"code": TEXT, "message": TEXT})),
            "prompt_progress": shape({"done": COUNT, "total": COUNT}),
            "timings": shape(
                {"prompt_tokens": COUNT, "cached_tokens": COUNT, "prompt_s": NUMBER, "output_tokens": COUNT},
                {"tokens_per_second": maybe(NUMBER)},
            ),
        },
        about="What Ossia says beyond the API.",
    ),
}


def _file(about: str, *kinds: str) -> Answer:
    return {"description": about, "content": {kind: {"schema": TEXT} for kind in kinds}}


def _health() -> Operation:
    told = shape(
        {
            "status": words("ok", "loading", "stopping"),
            "model": maybe(TEXT),
            "running": COUNT,
            "queued": COUNT,
        },
        {"loading": shape({"model": TEXT, "done": NUMBER})},
    )
    asked = operation("health", "What the server is doing.", answer("It answers.", told))
    return {**asked, "responses": {**asked["responses"], "503": answer("It is stopping.", told)}}


_OPERATIONS: Paths = {
    "/": {
        "get": operation(
            "page",
            "A small page to talk to the model; for programs, a line that says who is here.",
            _file("The page, or the line.", "text/html", "text/plain"),
        )
    },
    "/page/{file}": {
        "get": operation(
            "pageFile",
            "A part of the page.",
            _file("The file.", "text/javascript", "text/css", "image/svg+xml"),
            parameters=[in_path("file", "Its name.")],
        )
    },
    "/health": {"get": _health()},
    "/metrics": {
        "get": operation("metrics", "Numbers for Prometheus.", _file("Its text format.", "text/plain"))
    },
    PATH: {"get": operation("document", "This document.", answer("The document.", OBJECT))},
}


def _with_open_names(paths: Paths) -> Paths:
    """The same under the base path where events have the names that Open Responses gives them."""
    return {
        f"/openresponses{path}": {
            method: {**told, "operationId": f"{told['operationId']}WithOpenNames"}
            for method, told in methods.items()
        }
        for path, methods in paths.items()
    }


def document() -> Mapping[str, Any]:
    """The OpenAPI 3.1 document of every route of the server."""
    rooms = (responses, state, chat, ollama)
    schemas = [_SHARED, *(room.SCHEMAS for room in rooms)]
    same = {**responses.PATHS, **state.PATHS}
    paths = [*(room.PATHS for room in rooms), _with_open_names(same), _OPERATIONS]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ossia", "version": __version__, "description": _ABOUT},
        "paths": {path: methods for part in paths for path, methods in part.items()},
        "components": {
            "schemas": {name: schema for part in schemas for name, schema in part.items()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }


def routes(service: Service) -> list[BaseRoute]:
    """The document's own route."""
    told = JSONResponse(document()).body

    async def show(request: Request) -> Response:
        return Response(told, media_type="application/json")

    return [Route(PATH, show)]
