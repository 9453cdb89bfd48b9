"""Conversations in the shape of the Responses API: a response object, a request, or a list of items."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ossia.harmony.formats.declared import read_tools
from ossia.harmony.formats.draft import Draft
from ossia.harmony.formats.fields import (
    as_list,
    as_object,
    content_of,
    effort_of,
    needed,
    text_of,
    wrong,
)
from ossia.harmony.messages import Conversation, Effort, SystemContent

CALLS = ("function_call", "custom_tool_call")
RESULTS = ("function_call_output", "custom_tool_call_output")
ITEMS = ("message", "reasoning", *CALLS, *RESULTS)
_PHASES = ("commentary", "final_answer")


def conversation_from_response(
    source: object, *, effort: Effort | None = None, system: SystemContent | None = None
) -> Conversation:
    """The Harmony conversation that a response object, a request, or a list of their items stands for.

    Of an object, `instructions`, `tools`, `reasoning.effort`, `input` (text or items) and `output` are read.
    An assistant message that a call follows in the same turn is a preamble, unless its `phase` says
    otherwise; `effort` and `system` are as in `conversation_from_chat`. Reasoning that is only summed up is
    taken as summed up; encrypted reasoning cannot be read and is left out.

    Raises InputError that names the place: a wrong type, an item or tool of another kind, an output without
    its call.
    """
    if isinstance(source, Sequence):
        draft = Draft((), effort=effort, system=system)
        _take_all(draft, _items(cast(object, source), "items"))
        return draft.conversation()
    fields = as_object(source, "response")
    told = fields.get("reasoning")
    asked = (
        None if told is None else effort_of(as_object(told, "reasoning").get("effort"), "reasoning.effort")
    )
    draft = Draft(read_tools(fields.get("tools")), effort=effort or asked, system=system)
    _take_all(draft, _items(fields.get("instructions"), "instructions", role="developer"))
    given = _items(fields.get("input"), "input", role="user")
    _take_all(draft, [*given, *_items(fields.get("output"), "output")])
    return draft.conversation()


def _items(value: object, where: str, role: str | None = None) -> list[tuple[str, Mapping[str, Any]]]:
    """Items, each with its place; where a `role` is given, text stands for one message of it."""
    if role is not None and isinstance(value, str):
        return [(where, {"role": role, "content": value})]
    places = [(f"{where}[{at}]", item) for at, item in enumerate(as_list(value, where))]
    return [(place, as_object(item, place)) for place, item in places]


def _take_all(draft: Draft, items: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    follow = calls_follow([item for _, item in items])
    for (where, item), follows in zip(items, follow, strict=True):
        _take(draft, item, where, follows)


def _take(draft: Draft, item: Mapping[str, Any], where: str, call_follows: bool) -> None:
    kind = _kind(item)
    if kind == "message":
        _take_message(draft, item, where, call_follows)
    elif kind == "reasoning":
        if text := content_of(item.get("content"), where) or content_of(item.get("summary"), where):
            draft.think(text)
    elif kind in CALLS:
        plain = kind == "custom_tool_call"
        text = needed(item, "input" if plain else "arguments", where)
        name, call_id = needed(item, "name", where), needed(item, "call_id", where)
        draft.call(name, text, call_id, where, json=not plain)
    elif kind in RESULTS:
        output = content_of(item.get("output"), where)
        if output is None:
            raise wrong(where, "output is missing", None, "text, or a list of parts")
        draft.result(output, needed(item, "call_id", where), None, where)
    else:
        remedy = "Give what it stands for: a call as a function_call, its result as the output."
        raise wrong(where, f"an item of type {kind!r}", kind, ITEMS, remedy)


def _take_message(draft: Draft, item: Mapping[str, Any], where: str, call_follows: bool) -> None:
    role, content = item.get("role"), content_of(item.get("content"), where)
    if content is None:
        raise wrong(where, "a message without content", None, "text, or a list of parts")
    if role == "user":
        draft.ask(content, None, where)
    elif role in ("system", "developer"):
        draft.instruct(content)
    elif role != "assistant":
        raise wrong(where, f"unknown role {role!r}", role, ("user", "assistant", "system", "developer"))
    elif _is_preamble(item, where, call_follows):
        draft.announce(content)
    else:
        draft.answer(content)


def _is_preamble(item: Mapping[str, Any], where: str, call_follows: bool) -> bool:
    phase = text_of(item, "phase", where)
    if phase is not None and phase not in _PHASES:
        raise wrong(where, f"unknown phase {phase!r}", phase, _PHASES)
    return call_follows if phase is None else phase == "commentary"


def calls_follow(items: Sequence[Mapping[str, Any]]) -> list[bool]:
    """For each item, whether the turn goes on to a call after it."""
    flags: list[bool] = []
    follows = False
    for item in reversed(items):
        flags.append(follows)
        if _kind(item) in CALLS:
            follows = True
        elif _kind(item) == "message" and item.get("role") != "assistant":
            follows = False
    return flags[::-1]


def _kind(item: Mapping[str, Any]) -> object:
    kind = item.get("type")
    return "message" if kind is None and "role" in item else kind
