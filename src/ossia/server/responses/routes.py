"""The routes of the Responses API: OpenAI's, and the same with the Open Responses names."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ossia.server import sse
from ossia.server.bodies import read_json
from ossia.server.responses.create import Prepared, events, prepare
from ossia.server.service import Service, caller_of

PATH = "/v1/responses"
OPEN_PATH = "/openresponses/v1/responses"
OPEN_HEADER = "OpenResponses-Version"


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""

    async def create(request: Request) -> Response:
        body = await read_json(request)
        open_names = wants_open_names(request)
        prepared = await prepare(service, caller_of(request), body, open_names=open_names)
        if prepared.request.stream:
            return await sse.stream(_encoded(events(service, prepared)))
        answer = await sse.until_gone(request, _last(service, prepared))
        return Response(status_code=499) if answer is None else JSONResponse(answer)

    return [Route(path, create, methods=["POST"]) for path in (PATH, OPEN_PATH)]


def wants_open_names(request: Request) -> bool:
    """Whether the client speaks the Open Responses specification."""
    return request.url.path.startswith("/openresponses/") or OPEN_HEADER in request.headers


async def _encoded(told: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(told):
        async for event in told:
            yield sse.encode(event, event["type"])
    yield sse.DONE


async def _last(service: Service, prepared: Prepared) -> dict[str, Any]:
    """The response, when it is complete."""
    last: dict[str, Any] = {}
    async with aclosing(events(service, prepared, raising=True)) as told:
        async for event in told:
            last = event
    return last["response"]
