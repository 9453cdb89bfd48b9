"""The tools a client declares, in the shapes of both OpenAI APIs, as Harmony's namespaces, and the way back.

Functions and custom tools stand in the namespace `functions`, those of a `namespace` tool in its own.
What this server does not have (web search and the like) stays out of the prompt, and a note names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from ossia.agent.events import Note
from ossia.errors import InputError
from ossia.harmony.formats.fields import as_list, as_object, flag_of, needed, text_of, wrong
from ossia.harmony.grammar import ToolChoice
from ossia.harmony.grammar.bodies import parameters_of
from ossia.harmony.grammar.enforce import schema_body, text_body
from ossia.harmony.header import FORBIDDEN
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.server.choice import kind_of, read_choice

FUNCTIONS = "functions"
MAX_NAME_CHARS = 128


@dataclass(frozen=True, slots=True)
class ClientTool:
    """A tool as its client knows it: the type of its calls, its name, and the namespace it declared."""

    kind: Literal["function", "custom"]
    name: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """What a request declares. `namespaces` are for the developer message, `choice` is for the answer.

    `specs`: the declarations as the client made them, for echoing. `warnings` name what was left out.
    """

    namespaces: tuple[ToolNamespace, ...] = ()
    choice: ToolChoice = "auto"
    specs: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[Note, ...] = ()
    origins: Mapping[str, ClientTool] | None = None

    def recipient_of(self, name: str, namespace: str | None = None) -> str:
        """Whom a call of `name` goes to, be it declared or not; as the model writes it."""
        known = self.origins or {}
        wanted = f"{namespace or FUNCTIONS}.{name}"
        if wanted in known or namespace is not None:
            return wanted
        if name in known:  # the full name in place of the name
            return name
        elsewhere = [recipient for recipient, tool in known.items() if tool.name == name]
        return elsewhere[0] if len(elsewhere) == 1 else wanted

    def origin(self, recipient: str) -> ClientTool:
        """The client's tool behind a recipient; of one that is not declared, a function's by its looks."""
        if (tool := (self.origins or {}).get(recipient)) is not None:
            return tool
        namespace, _, name = recipient.rpartition(".")
        return ClientTool("function", name, None if namespace in ("", FUNCTIONS) else namespace)


def declare(tools: object, tool_choice: object = None) -> Declared:
    """Read `tools` and `tool_choice` of a request in the shape of either API.

    Unknown types of tools and unknown fields are no error. Raises InputError, with `param`, for a list that
    is none, a tool without a name or with one that cannot be called, a strict schema that nothing satisfies,
    a regex or grammar that cannot be used, and a choice that names no tool.
    """
    collected = _Collected()
    specs = [as_object(tool, f"tools[{at}]") for at, tool in enumerate(as_list(tools, "tools"))]
    for at, spec in enumerate(specs):
        collected.take(spec, f"tools[{at}]", None)
    names = {recipient: (tool.name, tool.namespace) for recipient, tool in collected.origins.items()}
    choice, notes = read_choice(tool_choice, names, left_out=len(collected.notes) > 0)
    return Declared(
        collected.namespaces(), choice, tuple(specs), (*collected.notes, *notes), collected.origins
    )


class _Collected:
    """Declarations taken one after the other."""

    def __init__(self) -> None:
        self.origins: dict[str, ClientTool] = {}
        self.notes: list[Note] = []
        self._tools: dict[str, list[ToolSpec]] = {}
        self._descriptions: dict[str, str] = {}

    def namespaces(self) -> tuple[ToolNamespace, ...]:
        return tuple(
            ToolNamespace(name, self._descriptions.get(name, ""), tuple(tools))
            for name, tools in self._tools.items()
            if tools
        )

    def take(self, tool: Mapping[str, Any], where: str, namespace: str | None) -> None:
        """One declaration; `namespace`: of the one it stands in."""
        kind = kind_of(tool)
        if kind == "namespace" and namespace is None:
            self._take_namespace(tool, where)
        elif kind in ("function", "custom"):
            inner = as_object(tool[kind], f"{where}.{kind}") if tool.get(kind) is not None else tool
            self._take_own(inner, kind, where, namespace)
        else:
            self._note(
                "tool-left-out", f"{where}: this server has no {kind} tool, and the model is not told of it"
            )

    def _take_namespace(self, tool: Mapping[str, Any], where: str) -> None:
        name = checked_name(needed(tool, "name", where), f"{where}.name")
        self._descriptions[name] = text_of(tool, "description", where) or ""
        for at, inner in enumerate(as_list(tool.get("tools"), f"{where}.tools")):
            place = f"{where}.tools[{at}]"
            self.take(as_object(inner, place), place, name)

    def _take_own(self, fields: Mapping[str, Any], kind: str, where: str, namespace: str | None) -> None:
        name = checked_name(needed(fields, "name", where), f"{where}.name")
        recipient = f"{namespace or FUNCTIONS}.{name}"
        if recipient in self.origins:
            self._note("tool-declared-twice", f"{where}: {name!r} is declared already, which counts")
            return
        description = text_of(fields, "description", where) or ""
        if kind == "custom":
            spec = ToolSpec(name, description, text_input=_text_input(fields, where, recipient))
        else:
            spec = self._function(ToolSpec(name, description), fields, where, recipient)
        self._tools.setdefault(namespace or FUNCTIONS, []).append(spec)
        self.origins[recipient] = ClientTool("custom" if kind == "custom" else "function", name, namespace)

    def _function(self, spec: ToolSpec, fields: Mapping[str, Any], where: str, recipient: str) -> ToolSpec:
        """A function with its parameters; what a grammar cannot hold to is checked afterwards."""
        place = f"{where}.parameters"
        parameters = fields.get("parameters")
        if parameters is not None:
            spec = replace(spec, parameters=dict(as_object(parameters, place)) or None)
        strict, what = flag_of(fields, "strict", where), f"the schema of {recipient}"
        try:
            gaps = _checked_schema(parameters_of(spec), what, place, is_object=True)
        except InputError:
            if strict or (loose := _loosened(parameters_of(spec), what)) is None:
                raise
            self._note("schema-loosened", f"{place}: nothing satisfies it; the names in it hold, no more")
            return replace(spec, parameters=loose)
        if gaps and strict:
            self._note("not-strict", f"{place}: {', '.join(gaps)} cannot be enforced while sampling")
        return spec

    def _note(self, code: str, detail: str) -> None:
        self.notes.append(Note(code, detail))


def checked_name(name: str, where: str) -> str:
    """Return `name` of a tool or namespace; raises InputError where it could not stand in a header."""
    if name and not FORBIDDEN.search(name) and len(name) <= MAX_NAME_CHARS:
        return name
    limit = f"1 to {MAX_NAME_CHARS} characters, none of them a space, '<', '>', '|' or '='"
    raise wrong(where, f"{name[:MAX_NAME_CHARS]!r} cannot be the name of a tool", name, limit, "Rename it.")


def checked_format(schema: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """What of a response format's schema cannot be enforced; raises InputError where nothing satisfies it."""
    return _checked_schema(dict(schema), "the response format's schema", where, is_object=False)


def _loosened(schema: dict[str, Any], what: str) -> dict[str, Any] | None:
    """What is left of an object's schema that nothing satisfies: its properties, all of them optional, or
    else any object; None where it is not an object's. Tools are declared carelessly, and yet they work."""
    kind = schema.get("type", "object")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return None
    loose = {key: schema[key] for key in ("properties", "$defs", "definitions") if key in schema}
    try:
        schema_body({"type": "object", **loose}, what, is_object=True, strict=False)
    except InputError:
        return {"type": "object"}
    return {"type": "object", **loose}


def _checked_schema(schema: dict[str, Any], what: str, where: str, *, is_object: bool) -> tuple[str, ...]:
    try:
        return tuple(str(gap) for gap in schema_body(schema, what, is_object=is_object, strict=False).gaps)
    except InputError as error:
        error.param = where
        raise


def _text_input(fields: Mapping[str, Any], where: str, recipient: str) -> TextInput:
    """What a custom tool's text must look like."""
    given = fields.get("format")
    if given is None:
        return TextInput()
    where = f"{where}.format"
    told = as_object(given, where)
    kind = told.get("type", "text")
    if kind == "text":
        return TextInput()
    if kind != "grammar":
        raise wrong(where, f"a format of type {kind!r}", kind, ("text", "grammar"))
    inner = told.get("grammar")
    grammar = told if inner is None else as_object(inner, f"{where}.grammar")
    syntax, definition = grammar.get("syntax"), needed(grammar, "definition", where)
    if syntax not in ("regex", "lark"):
        raise wrong(where, f"a grammar in the syntax {syntax!r}", syntax, ("regex", "lark"))
    text_input = TextInput(regex=definition) if syntax == "regex" else TextInput(lark=definition)
    try:
        text_body(text_input, f"the input of {recipient}")
    except InputError as error:
        error.param = where
        raise
    return text_input
