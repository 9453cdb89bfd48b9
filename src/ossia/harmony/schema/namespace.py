"""The frame around the types: headings, comments and one ``type`` a tool, for either mode.

Does not know how a schema becomes a type; `compat` and `full` do.
"""

import json
from itertools import pairwise
from typing import Any, Literal, cast

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.harmony.schema.compat import compat_type
from ossia.harmony.schema.full import full_type
from ossia.harmony.schema.reading import lines
from ossia.harmony.schema.references import TypeNames
from ossia.harmony.schema.writing import comment_lines

SchemaMode = Literal["compat", "full"]

_MAX_DEPTH = 64


def render_namespace(ns: ToolNamespace, mode: SchemaMode = "compat") -> str:
    """Return the section of one namespace: heading, description, and its functions if it has any.

    `mode` "compat" writes what openai-harmony 0.0.8 writes, character for character; "full" writes the same
    wherever that is right. Raises ToolDefinitionError for parameters that are not JSON or are nested deeper
    than 64 levels.
    """
    heading = f"## {ns.name}\n"
    if not ns.tools:
        return "\n".join([heading, *lines(ns.description)])
    names = TypeNames([tool.name for tool in ns.tools])
    out = [heading, *_comment(ns.description, mode), f"namespace {ns.name} {{\n"]
    for tool in ns.tools:
        out += _function(tool, mode, names)
    return "\n".join([*out, f"}} // namespace {ns.name}"])


def render_tools(namespaces: tuple[ToolNamespace, ...], mode: SchemaMode = "compat") -> str:
    """Return the whole ``# Tools`` section, namespaces in the order of their names.

    Raises ToolDefinitionError when two namespaces have one name.
    """
    ordered = sorted(namespaces, key=lambda ns: ns.name)
    for first, second in pairwise(ordered):
        if first.name == second.name:
            raise ToolDefinitionError(
                f"two namespaces are called {first.name!r}",
                value=first.name,
                remedy="Put their tools into one namespace.",
            )
    return "\n\n".join(["# Tools", *(render_namespace(ns, mode) for ns in ordered)])


def _function(tool: ToolSpec, mode: SchemaMode, names: TypeNames) -> list[str]:
    above = _comment(tool.description, mode)
    if tool.text_input is not None:
        return [*above, *_text_comments(tool.text_input), f"type {tool.name} = (_: string) => any;\n"]
    if tool.parameters is None:
        return [*above, f"type {tool.name} = () => any;\n"]
    schema = _as_json(tool)
    if mode == "compat":
        return [*above, f"type {tool.name} = (_: {compat_type(schema)}) => any;\n"]
    written, declarations = full_type(schema, tool.name, names)
    return [*declarations, *above, f"type {tool.name} = (_: {written}) => any;\n"]


def _comment(text: str, mode: SchemaMode) -> list[str]:
    out = lines(text)
    if mode == "full":  # the reference's lines end at \n only, TypeScript's at more
        out = [piece for line in out for piece in comment_lines(line)]
    return [f"// {line}" for line in out]


def _text_comments(text_input: TextInput) -> list[str]:
    """What a tool of plain text expects. The reference has no such tools; both modes write them alike."""
    out = ["// The input is plain text, not JSON."]
    if text_input.regex is not None:
        out += ["// It matches this regular expression:", *_indented(text_input.regex)]
    if text_input.lark is not None:
        out += ["// It matches this Lark grammar:", *_indented(text_input.lark)]
    return out


def _indented(text: str) -> list[str]:
    return [f"//   {line}" for line in comment_lines(text.rstrip("\n"))]


def _as_json(tool: ToolSpec) -> Any:
    """The parameters as plain JSON values, so that what cannot be sent cannot be rendered either."""
    try:
        schema = json.loads(json.dumps(tool.parameters, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as cause:
        raise ToolDefinitionError(
            f"the parameters of tool {tool.name!r} are not JSON: {cause}",
            value=tool.name,
            remedy="Give a JSON Schema made of objects, lists, strings, numbers, booleans and null.",
        ) from cause
    if _depth(schema) > _MAX_DEPTH:
        raise ToolDefinitionError(
            f"the parameters of tool {tool.name!r} are nested too deeply",
            value=_depth(schema),
            limit=_MAX_DEPTH,
            remedy="Flatten the schema.",
        )
    return schema


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        level = [inner for v in level for inner in _inside(v)]
        depth += 1
    return depth


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast(dict[str, Any], value).values())
    return cast(list[Any], value) if isinstance(value, list) else []
