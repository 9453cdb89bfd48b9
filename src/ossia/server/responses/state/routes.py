"""The routes of the Responses API: OpenAI's, and the same as the Open Responses specification names it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from ossia.errors import ForbiddenError, InputError, NotFoundError, OssiaError
from ossia.server import sse
from ossia.server.bodies import read_json
from ossia.server.failures import openai_error
from ossia.server.operations.caller import Caller, caller_of
from ossia.server.responses.state.answers import Answers
from ossia.server.responses.state.compact import compact
from ossia.server.responses.state.conversations import conversation_routes
from ossia.server.responses.state.counting import count
from ossia.server.responses.state.items import without_reasoning
from ossia.server.responses.state.pages import read_page
from ossia.server.responses.state.records import unpacked_steps, with_sealed
from ossia.server.responses.state.runs import Run, Wire
from ossia.server.responses.state.socket import serve
from ossia.server.service import Service

BASES = ("/v1", "/openresponses/v1")
OPEN_HEADER = "OpenResponses-Version"
_SEALED = "reasoning.encrypted_content"


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""
    answers = Answers(service)
    found: list[BaseRoute] = []
    for base in BASES:
        path = f"{base}/responses"
        found += [
            Route(path, partial(create, answers), methods=["POST"]),
            WebSocketRoute(path, partial(serve, answers)),
            Route(f"{path}/compact", partial(compact, answers), methods=["POST"]),
            Route(f"{path}/input_tokens", partial(count, answers), methods=["POST"]),
            Route(f"{path}/{{id}}", partial(retrieve, answers), methods=["GET"]),
            Route(f"{path}/{{id}}", partial(delete, answers), methods=["DELETE"]),
            Route(f"{path}/{{id}}/cancel", partial(cancel, answers), methods=["POST"]),
            Route(f"{path}/{{id}}/input_items", partial(list_input, answers), methods=["GET"]),
            Route(f"{path}/{{id}}/harmony", partial(harmony, answers), methods=["GET"]),
            *conversation_routes(base, answers),
        ]
    return found


async def create(answers: Answers, request: Request) -> Response:
    """Answer a request: at once, as a stream, or in the background."""
    body = await read_json(request)
    caller = caller_of(request)
    run = await answers.begin(caller, body, open_names=wants_open_names(request))
    if body.get("stream"):
        return await sse.stream(_encoded(run, owned=True), comment=caller.record.comment, failure=_failure)
    if run.background:
        return JSONResponse(run.response)
    try:
        response = await sse.until_gone(request, run.result())
    finally:
        await run.leave()
    return Response(status_code=499) if response is None else JSONResponse(response)


async def retrieve(answers: Answers, request: Request) -> Response:
    """A response as it stands, its reasoning sealed where `include` says so.

    With ``stream=true`` its events from the beginning, or behind the one numbered `starting_after`.
    """
    caller, id = caller_of(request), request.path_params["id"]
    record = await answers.archive.response(caller.owner, id)
    run = answers.archive.runs.get(caller.owner, id)
    if not _flag(request, "stream"):
        body = record.body if run is None else run.response
        if _SEALED in request.query_params.getlist("include") + request.query_params.getlist("include[]"):
            body = with_sealed(record, body, partial(answers.service.sealer.seal, caller.owner))
        return JSONResponse(_shown(body, caller))
    after = _starting_after(request)
    told = _encoded(run, after) if run is not None else _replayed(_shown(record.body, caller), after)
    return await sse.stream(told, failure=_failure)


async def delete(answers: Answers, request: Request) -> Response:
    """Forget a response, stopping it where it is under way."""
    id = request.path_params["id"]
    await answers.archive.delete(caller_of(request).owner, id)
    return JSONResponse({"id": id, "object": "response", "deleted": True})


async def cancel(answers: Answers, request: Request) -> Response:
    """Stop a response that is under way; one that is over stays as it is."""
    caller, id = caller_of(request), request.path_params["id"]
    if (run := answers.archive.runs.get(caller.owner, id)) is not None:
        await run.cancel()
    record = await answers.archive.response(caller.owner, id)
    return JSONResponse(_shown(record.body, caller))


async def list_input(answers: Answers, request: Request) -> Response:
    """The items a response was given itself, in pages."""
    caller = caller_of(request)
    record = await answers.archive.response(caller.owner, request.path_params["id"])
    items = record.input_items
    if not caller.sees_reasoning:
        items = [without_reasoning(item) for item in items]
    return JSONResponse(read_page(request).of(items))


async def harmony(answers: Answers, request: Request) -> Response:
    """The exact ids of a response's prompts and of what was sampled behind each, and their text."""
    caller = caller_of(request)
    if not caller.sees_reasoning:
        raise ForbiddenError(
            "this key may not see raw reasoning, which the exact text has in it",
            remedy="Ask with a key that may.",
        )
    record = await answers.archive.response(caller.owner, request.path_params["id"])
    if not record.harmony:
        raise NotFoundError(
            f"the response {record.id} has no exact ids: it is {record.status}",
            value=record.status,
            remedy="Ask when it is completed.",
        )
    told = unpacked_steps(record.harmony)
    return JSONResponse(
        {"object": "response.harmony", "id": record.id, "model": record.body["model"], **told}
    )


def wants_open_names(request: Request) -> bool:
    """Whether the client speaks the Open Responses specification."""
    return request.url.path.startswith("/openresponses/") or OPEN_HEADER in request.headers


async def _encoded(run: Run, after: int = -1, *, owned: bool = False) -> AsyncGenerator[bytes, None]:
    """Events of a run; where the reader is the one it was `owned` by, it ends with them."""
    try:
        async with aclosing(run.follow(after)) as events:
            async for event in events:
                yield sse.encode(event, event["type"])
    finally:
        if owned:
            await run.leave()
    yield sse.DONE


async def _replayed(response: Wire, after: int) -> AsyncGenerator[bytes, None]:
    """A response whose events are gone, told as a beginning and an end."""
    nothing: list[Wire] = []
    begun: Wire = {**response, "status": "in_progress", "output": nothing, "usage": None}
    status = response["status"] if response["status"] in ("completed", "failed") else "incomplete"
    told = [("created", begun), ("in_progress", begun)] if after < 0 else []
    for kind, body in [*told, (status, response)]:
        after += 1
        event: dict[str, Any] = {"type": f"response.{kind}", "sequence_number": after, "response": body}
        yield sse.encode(event, event["type"])
    yield sse.DONE


def _failure(error: OssiaError) -> bytes:
    """What a reader is told of an error that came after the headers."""
    inner = openai_error(error)["error"]
    inner["code"] = inner["code"] or inner["type"]
    told = {"type": "error", "sequence_number": 0, **inner, "error": inner}
    return sse.encode({**told, "type": "error"}, "error") + sse.DONE


def _shown(body: Wire, caller: Caller) -> Wire:
    """A response as this caller may see it."""
    if caller.sees_reasoning:
        return body
    return {**body, "output": [without_reasoning(item) for item in body["output"]]}


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in ("true", "1")


def _starting_after(request: Request) -> int:
    text = request.query_params.get("starting_after")
    if not text:
        return -1
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise InputError(
        f"starting_after {text[:20]!r} is no event's number",
        value=text[:20],
        limit="a sequence_number",
        remedy="Give the sequence_number of the last event that was received.",
        param="starting_after",
    )
