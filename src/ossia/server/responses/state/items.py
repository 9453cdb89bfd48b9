"""Items as they are stored and listed: each with an id, a type and a status, messages with parts.

What a client sends may lack all of these. Nothing else about an item is changed.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from ossia.errors import InputError
from ossia.harmony.formats.fields import needed, wrong
from ossia.harmony.formats.fields import text_of as text_field
from ossia.server.responses.items import new_id
from ossia.server.responses.reading import ROLES

_PREFIXES: Mapping[str, str] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "compaction": "cmp",
}


def input_items(value: object, where: str = "input") -> list[dict[str, Any]]:
    """A request's input, text or items, as items with ids. Raises InputError for anything else."""
    if value is None:
        return []
    if isinstance(value, str):
        return [identified({"role": "user", "content": value})] if value else []
    items = cast(list[object], value) if isinstance(value, list) else [value]
    if all(isinstance(item, dict) for item in items):
        return [_checked(cast(dict[str, Any], item), f"{where}[{at}]") for at, item in enumerate(items)]
    raise InputError(
        f"{where} is neither text nor a list of items",
        value=repr(cast(object, value))[:40],
        limit="text, or a list of objects",
        remedy='Write [{"role": "user", "content": "…"}].',
        param=where,
    )


def _checked(item: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = text_field(item, "type", where)
    if kind == "item_reference":
        needed(item, "id", where)
    elif kind == "message" or (kind is None and "role" in item):
        role = needed(item, "role", where)
        if role not in ROLES:
            raise wrong(f"{where}.role", f"unknown role {role!r}", role, ROLES)
    return identified(item)


def identified(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item with an id, a type, a status, and its content in parts."""
    kind = item.get("type") or "message"
    given = item.get("id")
    known = isinstance(given, str) and given
    fields = {"id": given if known else new_id(_prefix(kind)), "type": kind, **_rest(item)}
    if kind == "item_reference":
        return {**fields, "id": given}
    if kind != "compaction" and not isinstance(item.get("status"), str):
        fields["status"] = "completed"
    if kind == "message":
        fields["content"] = _parts(item.get("content"), item.get("role"))
    return fields


def text_of(items: Iterable[Mapping[str, Any]]) -> str:
    """What is said in items, for the search: messages, calls and results, no reasoning."""
    return "\n".join(text for item in items for text in _texts(item) if text.strip())


def without_reasoning(item: Mapping[str, Any]) -> dict[str, Any]:
    """The item for somebody who may not see raw reasoning."""
    return {**item, "content": []} if item.get("type") == "reasoning" and item.get("content") else {**item}


def _prefix(kind: object) -> str:
    return _PREFIXES.get(kind, "item") if isinstance(kind, str) else "item"


def _rest(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("id", "type")}


def _parts(content: object, role: object) -> Any:
    if not isinstance(content, str):
        return content
    if role == "assistant":
        nothing: list[object] = []
        return [{"type": "output_text", "text": content, "annotations": nothing, "logprobs": nothing}]
    return [{"type": "input_text", "text": content}]


def _texts(item: Mapping[str, Any]) -> Iterable[str]:
    if item.get("type") == "reasoning":
        return
    for name in ("content", "name", "arguments", "input", "output"):
        value = item.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for part in cast(list[object], value):
                text = cast(dict[str, Any], part).get("text") if isinstance(part, dict) else part
                if isinstance(text, str):
                    yield text
