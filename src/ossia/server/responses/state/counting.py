"""How many tokens a request's prompt has, without answering it."""

from asyncio import to_thread

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ossia.harmony.messages import Conversation
from ossia.harmony.render import render_conversation
from ossia.server.bodies import read_json
from ossia.server.operations.caller import caller_of
from ossia.server.responses.create import opening_of
from ossia.server.responses.state.answers import Answers


async def count(answers: Answers, request: Request) -> Response:
    """The tokens that a request to create a response would be read as."""
    body, caller = await read_json(request), caller_of(request)
    name = body.get("model") or answers.service.models.resolve(None)
    asked = await answers.ask(caller, {**body, "model": name})
    async with asked.prepared.place as model:
        read = asked.prepared.request
        conversation = Conversation((*opening_of(answers.service, read, model), *read.said.messages))
        conversation = answers.service.recall.complete(caller.owner, conversation)
        ids = await to_thread(render_conversation, conversation, model.tok, completion=True, schema="full")
    return JSONResponse({"object": "response.input_tokens", "input_tokens": len(ids)})
