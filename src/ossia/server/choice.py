"""`tool_choice` in every form of both OpenAI APIs, as what the grammar is told."""

from collections.abc import Mapping
from typing import Any, Literal, cast

from ossia.agent.events import Note
from ossia.errors import InputError
from ossia.harmony.formats.fields import as_list, as_object, wrong
from ossia.harmony.grammar import AllowedTools, ToolChoice

_WHERE = "tool_choice"
_MODES: Mapping[str, Literal["none", "auto", "required"]] = {
    "none": "none",
    "auto": "auto",
    "required": "required",
    "any": "required",
}
_OWN = ("function", "custom", "namespace")

Names = Mapping[str, tuple[str, str | None]]  # recipient → name and namespace


def read_choice(value: object, declared: Names, *, left_out: bool) -> tuple[ToolChoice, list[Note]]:
    """What `value` asks for, and notes about tools in it that are not here.

    `left_out`: whether tools were declared that this server does not have, so that requiring one is no
    mistake of the client's. Raises InputError for what is no choice, and for a tool that is not declared.
    """
    if value is None:
        return "auto", []
    if isinstance(value, str):
        return _mode(value, declared, left_out)
    told = as_object(value, _WHERE)
    kind = kind_of(told)
    if kind in _MODES:
        return _mode(kind, declared, left_out)
    if kind == "allowed_tools":
        inner = told.get("allowed_tools")
        return _allowed(told if inner is None else as_object(inner, _WHERE), declared)
    if kind not in _OWN:
        return "auto", [_missing(kind)]
    return AllowedTools(_recipients(told, kind, declared, _WHERE), required=True), []


def kind_of(tool: Mapping[str, Any]) -> str:
    """The type a tool or choice names, a function where it names none."""
    kind = tool.get("type")
    return kind if isinstance(kind, str) else "function" if kind is None else repr(kind)


def _mode(name: str, declared: Names, left_out: bool) -> tuple[ToolChoice, list[Note]]:
    if name not in _MODES:
        raise wrong(_WHERE, f"unknown choice {name!r}", name, ("none", "auto", "required"))
    mode = _MODES[name]
    if mode != "required" or declared:
        return mode, []
    if left_out:
        return "auto", [Note("tool-choice", "a tool is required, but this server has none of those declared")]
    raise wrong(_WHERE, "a tool call is required, but no tool is declared", name, "auto", "Declare a tool.")


def _allowed(told: Mapping[str, Any], declared: Names) -> tuple[ToolChoice, list[Note]]:
    mode = told.get("mode") or "auto"
    if mode not in ("auto", "required"):
        raise wrong(f"{_WHERE}.mode", f"unknown mode {mode!r}", mode, ("auto", "required"))
    names: list[str] = []
    notes: list[Note] = []
    for at, item in enumerate(as_list(told.get("tools"), f"{_WHERE}.tools")):
        where = f"{_WHERE}.tools[{at}]"
        tool = as_object(item, where)
        kind = kind_of(tool)
        if kind in _OWN:
            names += _recipients(tool, kind, declared, where)
        else:
            notes.append(_missing(kind))
    if not names:
        return "none", notes
    return AllowedTools(tuple(dict.fromkeys(names)), required=mode == "required"), notes


def _recipients(told: Mapping[str, Any], kind: str, declared: Names, where: str) -> tuple[str, ...]:
    """The declared tools that `told` names, one of them in each namespace that has it."""
    inner = told.get(kind)
    fields = told if inner is None else as_object(inner, f"{where}.{kind}")
    name, namespace = fields.get("name"), fields.get("namespace")
    found = tuple(
        recipient
        for recipient, (own, space) in declared.items()
        if (space == name if kind == "namespace" else name in (own, recipient))
        and (namespace is None or space == namespace)
    )
    if found:
        return found
    limit = [recipient.removeprefix("functions.") for recipient in declared]
    raise InputError(
        f"{where}: the tool {name!r} is not declared",
        value=cast(object, name),
        limit=limit,
        remedy=f"Choose among: {', '.join(limit)}." if limit else "Declare it in tools.",
        param=where,
    )


def _missing(kind: str) -> Note:
    return Note("tool-left-out", f"{_WHERE}: this server has no {kind} tool")
