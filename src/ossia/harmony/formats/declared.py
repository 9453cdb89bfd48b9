"""Tools as the two APIs declare them: nested under their type in Chat Completions, flat in Responses."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ossia.harmony.formats.fields import as_list, as_object, flag_of, needed, text_of, wrong
from ossia.harmony.messages import TextInput, ToolSpec

_NAME = re.compile(r"[a-zA-Z0-9_.\-]{1,128}")


def read_tools(tools: object, where: str = "tools") -> tuple[ToolSpec, ...]:
    """The tools of a request in either API's shape, or as JSON text of one; none for None.

    Raises InputError for what is neither a function nor a custom tool, a name that cannot be called, and a
    name that comes twice.
    """
    if isinstance(tools, str):
        tools = _loaded(tools, where)
    specs = tuple(_tool(tool, f"{where}[{at}]") for at, tool in enumerate(as_list(tools, where)))
    names = [spec.name for spec in specs]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise wrong(f"{where}[{at}]", f"a second tool called {name!r}", name, names, "Rename one.")
    return specs


def _loaded(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise wrong(where, f"text that is no JSON: {error}", text, "a list of tools") from None


def _tool(value: object, where: str) -> ToolSpec:
    tool = as_object(value, where)
    kind = tool.get("type")
    if kind is None:
        kind = "function"
    if kind not in ("function", "custom"):
        remedy = "Declare a function in its place, or leave it out."
        raise wrong(where, f"a tool of type {kind!r}", kind, ("function", "custom"), remedy)
    fields = as_object(tool[kind], f"{where}.{kind}") if tool.get(kind) is not None else tool
    name = needed(fields, "name", where)
    if not _NAME.fullmatch(name):
        limit = "1 to 128 of a-z, A-Z, 0-9, _, . and -"
        raise wrong(where, f"{name!r} cannot be the name of a tool", name, limit, "Give it another name.")
    description = text_of(fields, "description", where) or ""
    if kind == "custom":
        return ToolSpec(name, description, text_input=_format(fields, where))
    parameters = fields.get("parameters")
    if parameters is not None:
        parameters = dict(as_object(parameters, f"{where}.parameters"))
    return ToolSpec(name, description, parameters or None, flag_of(fields, "strict", where))


def _format(fields: Mapping[str, Any], where: str) -> TextInput:
    """What a custom tool's text must look like."""
    if fields.get("format") is None:
        return TextInput()
    where = f"{where}.format"
    told = as_object(fields["format"], where)
    kind = told.get("type")
    if kind == "text":
        return TextInput()
    if kind != "grammar":
        raise wrong(where, f"a format of type {kind!r}", kind, ("text", "grammar"))
    grammar = as_object(told["grammar"], f"{where}.grammar") if told.get("grammar") is not None else told
    syntax, definition = grammar.get("syntax"), needed(grammar, "definition", where)
    if syntax == "regex":
        return TextInput(regex=definition)
    if syntax == "lark":
        return TextInput(lark=definition)
    raise wrong(where, f"a grammar in the syntax {syntax!r}", syntax, ("regex", "lark"))
