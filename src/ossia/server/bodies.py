"""Request bodies: JSON objects, within a depth; how large they may be, the gate before says."""

from typing import Any, cast

import orjson
from starlette.requests import Request

from ossia.errors import InputError

MAX_DEPTH = 256  # of arrays and objects in one another


async def read_json(request: Request) -> dict[str, Any]:
    """The request's body, a JSON object; an empty body is an empty object.

    Raises InputError for anything that is no object, is nested too deeply, or is not UTF-8, and what the gate
    raises for a body that is too large or too slow.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
    return parse_object(bytes(body))


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object out of text; raises InputError for anything else."""
    if not data.strip():
        return {}
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"the request's body is no JSON: {error}", remedy="Send one JSON object, encoded as UTF-8."
        ) from None
    if not isinstance(value, dict):
        raise InputError(
            f"the request's body is no JSON object but {type(value).__name__}",
            remedy="Send one JSON object.",
        )
    _check_depth(cast(dict[str, Any], value))
    return cast(dict[str, Any], value)


def _check_depth(value: object) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return
    raise InputError(
        "the request's body is nested too deeply",
        value=MAX_DEPTH + 1,
        limit=MAX_DEPTH,
        remedy="Flatten it.",
    )


def _inside(value: object) -> list[object]:
    """The arrays and objects directly inside one."""
    if isinstance(value, dict):
        parts: list[object] = list(cast(dict[str, object], value).values())
    else:
        parts = cast(list[object], value)
    return [part for part in parts if isinstance(part, dict | list)]
