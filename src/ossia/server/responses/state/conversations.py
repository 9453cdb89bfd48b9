"""/v1/conversations: conversations a client keeps here, and their items."""

import time
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ossia.errors import NotFoundError
from ossia.server.bodies import read_json
from ossia.server.operations.caller import Caller, caller_of
from ossia.server.responses.items import new_id
from ossia.server.responses.request import read_metadata
from ossia.server.responses.state.answers import Answers
from ossia.server.responses.state.items import input_items, text_of, without_reasoning
from ossia.server.responses.state.pages import listed, read_page
from ossia.server.store.records import StoredConversation, StoredItem


def conversation_routes(base: str, answers: Answers) -> list[BaseRoute]:
    """The routes under `base`."""
    path = f"{base}/conversations"
    items = f"{path}/{{id}}/items"
    return [
        Route(path, partial(create, answers), methods=["POST"]),
        Route(f"{path}/{{id}}", partial(retrieve, answers), methods=["GET"]),
        Route(f"{path}/{{id}}", partial(update, answers), methods=["POST"]),
        Route(f"{path}/{{id}}", partial(delete, answers), methods=["DELETE"]),
        Route(items, partial(add_items, answers), methods=["POST"]),
        Route(items, partial(list_items, answers), methods=["GET"]),
        Route(f"{items}/{{item}}", partial(retrieve_item, answers), methods=["GET"]),
        Route(f"{items}/{{item}}", partial(delete_item, answers), methods=["DELETE"]),
    ]


async def create(answers: Answers, request: Request) -> Response:
    """Begin a conversation, with items or without."""
    body, owner = await read_json(request), caller_of(request).owner
    items = _stored(input_items(body.get("items"), "items"))
    record = StoredConversation(new_id("conv"), owner, int(time.time()), read_metadata(body.get("metadata")))
    await answers.archive.store.put_conversation(record)
    if items:
        await answers.archive.store.add_items(owner, record.id, items)
    return JSONResponse(_body(record))


async def retrieve(answers: Answers, request: Request) -> Response:
    return JSONResponse(_body(await _found(answers, request)))


async def update(answers: Answers, request: Request) -> Response:
    """Replace a conversation's metadata."""
    body, record = await read_json(request), await _found(answers, request)
    metadata = read_metadata(body.get("metadata"))
    changed = StoredConversation(record.id, record.owner, record.created_at, metadata)
    await answers.archive.store.put_conversation(changed)
    return JSONResponse(_body(changed))


async def delete(answers: Answers, request: Request) -> Response:
    """Delete a conversation with its items; the responses made in it stay."""
    record = await _found(answers, request)
    await answers.archive.store.delete_conversation(record.owner, record.id)
    return JSONResponse({"id": record.id, "object": "conversation.deleted", "deleted": True})


async def add_items(answers: Answers, request: Request) -> Response:
    """Put items at a conversation's end."""
    body, record = await read_json(request), await _found(answers, request)
    items = input_items(body.get("items"), "items")
    await answers.archive.store.add_items(record.owner, record.id, _stored(items))
    return JSONResponse(listed(items, more=False))


async def list_items(answers: Answers, request: Request) -> Response:
    """A conversation's items, in pages."""
    record, page = await _found(answers, request), read_page(request)
    found, more = await answers.archive.store.list_items(
        record.owner, record.id, after=page.after, limit=page.limit, order=page.order
    )
    caller = caller_of(request)
    return JSONResponse(listed([_shown(item, caller) for item in found], more=more))


async def retrieve_item(answers: Answers, request: Request) -> Response:
    record, id = await _found(answers, request), request.path_params["item"]
    item = await answers.archive.store.get_item(record.owner, record.id, id)
    if item is None:
        raise _no_item(id)
    return JSONResponse(_shown(item, caller_of(request)))


async def delete_item(answers: Answers, request: Request) -> Response:
    """Delete an item; the answer is its conversation."""
    record, id = await _found(answers, request), request.path_params["item"]
    if not await answers.archive.store.delete_item(record.owner, record.id, id):
        raise _no_item(id)
    return JSONResponse(_body(record))


async def _found(answers: Answers, request: Request) -> StoredConversation:
    return await answers.archive.conversation(caller_of(request).owner, request.path_params["id"])


def _stored(items: list[dict[str, Any]]) -> list[StoredItem]:
    return [StoredItem(item["id"], item, [], text_of([item])) for item in items]


def _shown(record: StoredItem, caller: Caller) -> dict[str, Any]:
    return record.item if caller.sees_reasoning else without_reasoning(record.item)


def _body(record: StoredConversation) -> dict[str, Any]:
    return {
        "id": record.id,
        "object": "conversation",
        "created_at": record.created_at,
        "metadata": record.metadata,
    }


def _no_item(id: str) -> NotFoundError:
    return NotFoundError(
        f"Item with id '{id}' not found.", value=id, remedy="List the conversation's items.", param="item_id"
    )
