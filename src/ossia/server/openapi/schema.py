"""Words to write JSON Schemas with, so that a shape is read at a glance.

Objects are open: clients send fields nobody has heard of, and answers may say more than is promised.
"""

from collections.abc import Mapping
from typing import Any

from ossia.harmony.formats.fields import EFFORT_NAMES

Schema = Mapping[str, Any]
Fields = Mapping[str, Schema]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
COUNT: Schema = {"type": "integer", "minimum": 0}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
OBJECT: Schema = {"type": "object"}
ANYTHING: Schema = {}
NOTHING: Schema = {"type": "null"}


def ref(name: str) -> Schema:
    """One of the document's components."""
    return {"$ref": f"#/components/schemas/{name}"}


def words(*allowed: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(allowed)}


EFFORT: Schema = words(*EFFORT_NAMES)
TOOL_NAME: Schema = {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"}


def numbers(least: float, most: float) -> Schema:
    """A number from `least` to `most`."""
    return {"type": "number", "minimum": least, "maximum": most}


def wholes(least: int, most: int) -> Schema:
    """A whole number from `least` to `most`."""
    return {"type": "integer", "minimum": least, "maximum": most}


def many(items: Schema, least: int = 0) -> Schema:
    """A list."""
    return {"type": "array", "items": items} | ({"minItems": least} if least else {})


def either(*schemas: Schema) -> Schema:
    """Any of these."""
    return {"anyOf": list(schemas)}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return either(schema, NOTHING)


def shape(needed: Fields, more: Fields | None = None, about: str = "") -> Schema:
    """An object with the fields `needed`, and `more` that may be missing."""
    told: dict[str, Any] = {"type": "object", "properties": {**needed, **(more or {})}}
    if needed:
        told["required"] = list(needed)
    return told | ({"description": about} if about else {})


def typed(kind: str, needed: Fields, more: Fields | None = None) -> Schema:
    """An object that says its type."""
    return shape({"type": words(kind), **needed}, more)


def asked(needed: Fields, more: Fields, about: str = "") -> Schema:
    """A request's body: what is not needed may also be null."""
    return shape(needed, {name: maybe(schema) for name, schema in more.items()}, about)
