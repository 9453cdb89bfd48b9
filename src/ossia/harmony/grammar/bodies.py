"""The grammar of every body that rules allow: arguments by their schema, text tools by regex or grammar."""

from typing import Any

from ossia.harmony.grammar.enforce import Body, any_object, schema_body, text_body
from ossia.harmony.grammar.rules import Callee, FrameRules, JsonObject
from ossia.harmony.messages import ToolSpec


def bodies_of(rules: FrameRules) -> dict[str | None, Body]:
    """The grammar of each recipient's calls, and of the final (under None).

    Raises InputError where a strict schema cannot be enforced (naming the keyword and where it stands), where
    nothing can satisfy a schema, and where a text tool's regex or grammar cannot be used.
    """
    bodies: dict[str | None, Body] = {callee.recipient: _call_body(callee) for callee in rules.callees}
    form = rules.response_format
    if form is None:
        return bodies | {None: Body(None)}
    if isinstance(form, JsonObject):
        return bodies | {None: any_object()}
    what = f"the schema of the response format {form.name!r}" if form.name else "the response format's schema"
    return bodies | {None: schema_body(form.schema, what, is_object=False, strict=form.strict)}


def _call_body(callee: Callee) -> Body:
    tool = callee.tool
    if tool is None:
        return Body(None)
    if tool.text_input is not None:
        return text_body(tool.text_input, f"the input of {callee.recipient}")
    what = f"the schema of {callee.recipient}"
    return schema_body(parameters_of(tool), what, is_object=True, strict=tool.strict)


def parameters_of(tool: ToolSpec) -> dict[str, Any]:
    """The schema of a tool's arguments; of a tool without any, the empty object's."""
    if tool.parameters is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return tool.parameters
