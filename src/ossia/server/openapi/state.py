"""What responses leave behind, and conversations, as OpenAPI has it."""

from ossia.server.openapi.operation import (
    PAGE,
    STARTING_AFTER,
    STREAM,
    Operation,
    Paths,
    answer,
    events,
    in_path,
    operation,
)
from ossia.server.openapi.schema import (
    COUNT,
    FLAG,
    OBJECT,
    TEXT,
    Fields,
    Schema,
    asked,
    either,
    many,
    ref,
    shape,
    words,
)

_RESPONSE = in_path("id", "A response's id.")
_CONVERSATION = in_path("id", "A conversation's id.")
_ITEM = in_path("item", "An item's id.")

SCHEMAS: Fields = {
    "Deleted": shape({"id": TEXT, "object": TEXT, "deleted": FLAG}),
    "Counted": shape({"object": words("response.input_tokens"), "input_tokens": COUNT}),
    "Compacted": shape(
        {
            "id": TEXT,
            "object": words("response.compaction"),
            "created_at": COUNT,
            "output": many(ref("StoredItem")),
        },
        {"usage": ref("Usage")},
    ),
    "Conversation": shape(
        {"id": TEXT, "object": words("conversation"), "created_at": COUNT, "metadata": ref("Metadata")}
    ),
    "NewConversation": asked({}, {"items": many(ref("InputItem")), "metadata": ref("Metadata")}),
    "NewMetadata": shape({"metadata": ref("Metadata")}),
    "NewItems": shape({"items": {**many(ref("InputItem"), least=1), "maxItems": 20}}),
    "CompactRequest": asked(
        {"model": TEXT, "input": ref("Input")}, {"instructions": TEXT, "previous_response_id": TEXT}
    ),
    "Input": either({**TEXT, "minLength": 1}, many(ref("InputItem"), least=1)),
    "Harmony": OBJECT,
}


def _get(id: str, about: str, schema: Schema, *parameters: Operation) -> Operation:
    return operation(id, about, answer(about, schema), parameters=parameters)


def _delete(id: str, about: str, schema: Schema, *parameters: Operation) -> Operation:
    return operation(id, about, answer("What was deleted.", schema), parameters=parameters)


PATHS: Paths = {
    "/v1/responses/{id}": {
        "get": operation(
            "getResponse",
            "A response, or its events from one of them on.",
            events("The response, or its events.", ref("Response"), ref("ResponseEvent")),
            parameters=[_RESPONSE, STREAM, STARTING_AFTER],
        ),
        "delete": _delete("deleteResponse", "Delete a response.", ref("Deleted"), _RESPONSE),
    },
    "/v1/responses/{id}/cancel": {
        "post": _get("cancelResponse", "Stop a response in the background.", ref("Response"), _RESPONSE)
    },
    "/v1/responses/{id}/input_items": {
        "get": _get("listInputItems", "What a response was given.", ref("ItemList"), _RESPONSE, *PAGE)
    },
    "/v1/responses/{id}/harmony": {
        "get": _get("getHarmony", "The exact ids and text of a response.", ref("Harmony"), _RESPONSE)
    },
    "/v1/responses/compact": {
        "post": operation(
            "compact",
            "Shorten a conversation.",
            answer("What is left.", ref("Compacted")),
            body=ref("CompactRequest"),
        )
    },
    "/v1/responses/input_tokens": {
        "post": operation(
            "countInputTokens",
            "How many tokens a request's prompt has.",
            answer("The number.", ref("Counted")),
            body=ref("CountRequest"),
        )
    },
    "/v1/conversations": {
        "post": operation(
            "createConversation",
            "Begin a conversation.",
            answer("It.", ref("Conversation")),
            body=ref("NewConversation"),
            needs_body=False,
        )
    },
    "/v1/conversations/{id}": {
        "get": _get("getConversation", "A conversation.", ref("Conversation"), _CONVERSATION),
        "post": operation(
            "updateConversation",
            "Give a conversation other metadata.",
            answer("It.", ref("Conversation")),
            body=ref("NewMetadata"),
            parameters=[_CONVERSATION],
        ),
        "delete": _delete("deleteConversation", "Delete it with its items.", ref("Deleted"), _CONVERSATION),
    },
    "/v1/conversations/{id}/items": {
        "get": _get("listItems", "A conversation's items.", ref("ItemList"), _CONVERSATION, *PAGE),
        "post": operation(
            "createItems",
            "Add items.",
            answer("Those that were added.", ref("ItemList")),
            body=ref("NewItems"),
            parameters=[_CONVERSATION],
        ),
    },
    "/v1/conversations/{id}/items/{item}": {
        "get": _get("getItem", "One of them.", ref("StoredItem"), _CONVERSATION, _ITEM),
        "delete": _delete("deleteItem", "Delete it.", ref("Conversation"), _CONVERSATION, _ITEM),
    },
}
