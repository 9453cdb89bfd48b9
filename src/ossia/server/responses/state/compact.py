"""/v1/responses/compact: a long conversation as its user messages and a summary the model writes of it.

The summary travels sealed, as `compaction` items do; sent back, it is read as something the assistant said.
"""

import time
from asyncio import to_thread
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ossia.agent.events import Finished
from ossia.agent.limits import Limits
from ossia.errors import BackendError, InputError
from ossia.harmony.messages import Conversation, Message, user
from ossia.server import sse
from ossia.server.bodies import read_json
from ossia.server.operations.caller import caller_of
from ossia.server.responses.body import usage_body
from ossia.server.responses.create import opening_of, sampling_of
from ossia.server.responses.items import new_id
from ossia.server.responses.state.answers import Answers, Asked
from ossia.server.responses.state.items import identified
from ossia.server.responses.truncation import fit

SUMMARY_TOKENS = 4096  # with the thought before it
ASKED_FOR = (
    "Summarize our conversation up to here, so that you can go on from the summary and my messages alone: "
    "what I want, what was done and found out, with names, numbers and file paths, what was decided, and "
    "what is still to do. Write nothing but the summary."
)
BEGINNING = "Summary of our conversation up to here:\n\n"


async def compact(answers: Answers, request: Request) -> Response:
    """The compacted conversation: every message of the user, and one compaction item."""
    body, caller = await read_json(request), caller_of(request)
    told = {**body, "truncation": "auto", "reasoning": body.get("reasoning") or {"effort": "low"}}
    asked = await answers.ask(caller, told)
    try:
        if not asked.prepared.request.said.messages:
            raise InputError(
                "there is no conversation to compact",
                remedy="Send input, or previous_response_id.",
                param="input",
            )
        finished = await sse.until_gone(request, _summarized(answers, asked))
    finally:
        asked.prepared.place.give_up()
    if finished is None:
        return Response(status_code=499)
    return JSONResponse(_body(answers, asked, finished))


async def _summarized(answers: Answers, asked: Asked) -> Finished:
    request = asked.prepared.request
    async with asked.prepared.place as model:
        said = (*opening_of(answers.service, request, model), *request.said.messages, user(ASKED_FOR))
        conversation, _ = await to_thread(fit, Conversation(said), model, request)
        events = answers.service.answer(
            model,
            conversation,
            asked.caller,
            sampling=sampling_of(request, model),
            limits=Limits(tokens=min(SUMMARY_TOKENS, model.backend.context_length // 4)),
            tool_choice="none",
        )
        async with aclosing(events) as told:
            async for event in told:
                if isinstance(event, Finished):
                    return event
    raise BackendError("the model gave no summary", remedy="Try again.")


def _body(answers: Answers, asked: Asked, finished: Finished) -> dict[str, Any]:
    text = "".join(m.text for m in finished.conversation.messages[-1:] if m.is_final).strip()
    summary = Message("assistant", BEGINNING + (text or "(none was written)"), channel="final")
    sealed = answers.service.sealer.seal(asked.caller.owner, [summary])
    kept = [
        identified({"role": "user", "content": message.text})
        for message in asked.prepared.request.said.messages
        if message.role == "user"
    ]
    return {
        "id": new_id("resp"),
        "object": "response.compaction",
        "created_at": int(time.time()),
        "output": [*kept, {"id": new_id("cmp"), "type": "compaction", "encrypted_content": sealed}],
        "usage": usage_body(finished.usage),
    }
