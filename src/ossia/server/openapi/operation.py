"""Words to write operations with: what a route takes and answers, and the errors all of them share."""

from collections.abc import Mapping, Sequence
from typing import Any

from ossia.server.openapi.schema import COUNT, FLAG, TEXT, Schema, either, ref, shape, wholes, words

Operation = Mapping[str, Any]
Paths = Mapping[str, Mapping[str, Operation]]
Answer = Mapping[str, Any]

JSON = "application/json"
EVENTS = "text/event-stream"
LINES = "application/x-ndjson"

ERRORS: Mapping[str, str] = {
    "400": "The request cannot be understood, or asks for what is not possible.",
    "401": "An API key is needed, or this is none.",
    "403": "This is not allowed, or not offered.",
    "404": "There is no such model, or nothing stored under that id.",
    "408": "The request's body did not arrive in time.",
    "409": "What is there does not allow it now.",
    "413": "The request is too large.",
    "429": "The queue is full; Retry-After says when to ask again.",
    "500": "The server made a mistake.",
    "503": "The backend stopped, or cannot do this.",
    "507": "Not enough disk or memory.",
}


def answer(about: str, schema: Schema, kind: str = JSON) -> Answer:
    """One answer, of one media type."""
    return {"description": about, "content": {kind: {"schema": schema}}}


def events(about: str, whole: Schema, event: Schema) -> Answer:
    """An answer that is one object, or a stream of events where the request asks for one.

    `event`: the JSON in each event's data; the last one's may be ``[DONE]`` instead.
    """
    told = {**TEXT, "contentMediaType": JSON, "contentSchema": event}
    each = shape({"data": either(words("[DONE]"), told)})
    return {"description": about, "content": {JSON: {"schema": whole}, EVENTS: {"schema": each}}}


def lines(about: str, whole: Schema, line: Schema) -> Answer:
    """An answer that is one object, or one a line where the request does not forbid it."""
    return {"description": about, "content": {JSON: {"schema": whole}, LINES: {"schema": line}}}


def operation(
    id: str,
    about: str,
    ok: Answer,
    *,
    body: Schema | None = None,
    needs_body: bool = True,
    parameters: Sequence[Mapping[str, Any]] = (),
    error: str = "Error",
) -> Operation:
    """What a route does. `error`: the component that its errors have the shape of."""
    refusals = {status: answer(meaning, ref(error)) for status, meaning in ERRORS.items()}
    told: dict[str, Any] = {"operationId": id, "summary": about, "responses": {"200": ok, **refusals}}
    if parameters:
        told["parameters"] = list(parameters)
    if body is not None:
        told["requestBody"] = {"required": needs_body, "content": {JSON: {"schema": body}}}
    return told


def in_path(name: str, about: str) -> Mapping[str, Any]:
    """A part of the path."""
    schema = {**TEXT, "minLength": 1}
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def in_query(name: str, about: str, schema: Schema) -> Mapping[str, Any]:
    """An optional parameter behind the question mark."""
    return {"name": name, "in": "query", "required": False, "description": about, "schema": schema}


PAGE: Sequence[Mapping[str, Any]] = (
    in_query("after", "The id of the element before the first one wanted.", TEXT),
    in_query("limit", "How many at most.", wholes(1, 100)),
    in_query("order", "By the time they were added.", words("asc", "desc")),
)
STREAM = in_query("stream", "Whether to answer as a stream.", FLAG)
STARTING_AFTER = in_query("starting_after", "The sequence number of the last event received.", COUNT)
