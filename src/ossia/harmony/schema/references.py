"""What a schema's `$ref` points to, and the name its type has in the namespace.

Only pointers into the same schema are followed: nothing is fetched. Does not know how a type is written.
"""

import json
from typing import Any, cast
from urllib.parse import unquote

from ossia.harmony.schema.reading import ABSENT, get, list_at, string_at
from ossia.harmony.schema.writing import type_name

# fmt: off
_TYPESCRIPT_NAMES = (
    "any", "unknown", "never", "void", "null", "undefined", "string", "number", "bigint", "boolean", "symbol",
    "object", "true", "false", "type", "this", "typeof", "keyof", "infer", "new", "import", "unique", "async",
    "asserts", "readonly", "abstract", "intrinsic", "in", "is", "Record", "Array", "Partial", "break", "case",
    "catch", "class", "const", "continue", "debugger", "default", "delete", "do", "else", "enum", "export",
    "extends", "finally", "for", "function", "if", "instanceof", "return", "super", "switch", "throw", "try",
    "var", "while", "with", "implements", "interface", "let", "package", "private", "protected", "public",
    "static", "yield", "await",
)
# fmt: on
_MOST_COMPARED = 100
_ANNOTATIONS = (
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "$schema",
    "$id",
    "additionalProperties",
)


class TypeNames:
    """The names of types in one namespace: two definitions share one only when they mean the same."""

    def __init__(self, taken: list[str]) -> None:
        self._meaning_of: dict[str, str | None] = dict.fromkeys([*_TYPESCRIPT_NAMES, *taken])

    def claim(self, wanted: str, meaning: str) -> tuple[str, bool]:
        """Return the name for a definition that would like to be called `wanted`, and whether it is new."""
        name, number = wanted, 1
        while name in self._meaning_of and self._meaning_of[name] != meaning:
            number += 1
            name = f"{wanted}{number}"
        is_new = name not in self._meaning_of
        self._meaning_of[name] = meaning
        return name, is_new


def resolve(pointer: str, root: Any) -> tuple[str, Any]:
    """Follow `pointer` to something that is not itself a mere reference.

    Returns the last pointer and its schema; `ABSENT` where it leads nowhere, abroad or round in a circle.
    """
    seen: set[str] = set()
    while pointer not in seen:
        seen.add(pointer)
        schema = _at(pointer, root)
        further = string_at(schema, "$ref")
        if further is None or len(cast(dict[str, Any], schema)) > 1:
            return pointer, schema
        pointer = further
    return pointer, ABSENT


def meaning(pointer: str, root: Any, tool: str) -> str:
    """A text equal for two definitions exactly when they, and all they refer to, are written alike.

    One that reaches more than 100 others is taken to be its tool's own.
    """
    found: dict[str, Any] = {}
    waiting = [pointer]
    while waiting and len(found) <= _MOST_COMPARED:
        following = waiting.pop()
        if following not in found:
            found[following] = None if (schema := _at(following, root)) is ABSENT else schema
            waiting += _references(found[following])
    return f"{tool} {pointer}" if waiting else json.dumps([pointer, found], sort_keys=True)


def wanted_name(pointer: str, tool: str) -> str:
    """What to call the type at `pointer`: its last step, or the tool's parameters for the whole schema."""
    steps = _steps(pointer)
    return type_name(steps[-1]) if steps else type_name(f"{tool}_parameters")


def _at(pointer: str, root: Any) -> Any:
    if pointer != "#" and not pointer.startswith("#/"):
        return ABSENT
    value = root
    for step in _steps(pointer):
        value = _step(value, step)
    return cast(Any, value) if isinstance(value, dict | bool) else ABSENT


def _steps(pointer: str) -> list[str]:
    return [unquote(s).replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]


def _step(value: Any, step: str) -> Any:
    if isinstance(value, list):
        items = cast(list[Any], value)
        return items[int(step)] if step.isascii() and step.isdigit() and int(step) < len(items) else ABSENT
    return get(value, step)


def _references(value: Any) -> list[str]:
    """Every `$ref` inside `value`, in order."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        schema = waiting.pop()
        if (pointer := string_at(schema, "$ref")) is not None:
            found.append(pointer)
        if isinstance(schema, dict):
            waiting += cast(dict[str, Any], schema).values()
        elif isinstance(schema, list):
            waiting += cast(list[Any], schema)
    return found


def merged(schema: dict[str, Any]) -> dict[str, Any]:
    """Fold into `schema` what its `allOf` adds without contradiction; the rest stays in `allOf`."""
    branches = list_at(schema, "allOf")
    if branches is None:
        return schema
    base = {key: value for key, value in schema.items() if key != "allOf"}
    rest: list[Any] = []
    for branch in branches:
        whole = merged(cast(dict[str, Any], branch)) if isinstance(branch, dict) else branch
        joined = _joined(base, whole)
        if joined is None:
            rest.append(whole)
        else:
            base = joined
    rest = [*(list_at(base, "allOf") or []), *rest]  # what a branch could not fold into itself, first
    return base | {"allOf": rest} if rest else base


def _joined(base: dict[str, Any], branch: Any) -> dict[str, Any] | None:
    """`base` and `branch` as one schema; None where they say different things about the same."""
    if not isinstance(branch, dict):
        return None if branch is False else base
    out = dict(base)
    for key, value in cast(dict[str, Any], branch).items():
        if key not in out:
            out[key] = value
        elif key == "required" and isinstance(value, list) and isinstance(out[key], list):
            out[key] = [*out[key], *(name for name in cast(list[Any], value) if name not in out[key])]
        elif key == "properties" and isinstance(value, dict) and isinstance(out[key], dict):
            out[key] = _both(out[key], cast(dict[str, Any], value))
        elif out[key] != value and key not in _ANNOTATIONS:
            return None
    return out


def _both(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    shared = {name: {"allOf": [first[name], second[name]]} for name in second if name in first}
    return first | second | shared
