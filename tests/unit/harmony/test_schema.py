"""Tools as TypeScript: what the goldens do not show, above all what is refused."""

import math
from typing import Any

import pytest

from ossia.errors import ToolDefinitionError
from ossia.harmony import ToolNamespace, ToolSpec, render_namespace
from ossia.harmony.schema import render_tools


def parameters(schema: dict[str, Any] | None) -> str:
    text = render_namespace(ToolNamespace("functions", "", (ToolSpec("f", "", schema),)))
    return text.split("type f = ")[1].split(" => any;")[0]


def test_namespace_has_heading_comments_functions_and_end() -> None:
    ns = ToolNamespace("functions", "About.", (ToolSpec("f", "Does it.\nTwice."), ToolSpec("g")))
    assert render_namespace(ns) == (
        "## functions\n\n// About.\nnamespace functions {\n\n// Does it.\n// Twice.\ntype f = () => any;\n\n"
        "type g = () => any;\n\n} // namespace functions"
    )


def test_namespace_without_tools_is_prose() -> None:
    assert render_namespace(ToolNamespace("python", "Runs\n\ncode.")) == "## python\n\nRuns\n\ncode."


def test_parameters_of_a_function() -> None:
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "description": "The first.", "enum": ["x", "y"], "default": "x"},
            "b": {"type": "array", "items": {"type": "integer"}},
        },
        "required": ["b"],
    }
    assert parameters(schema) == '(_: {\n// The first.\na?: "x" | "y", // default: x\nb: number[],\n})'


def test_namespaces_stand_in_the_order_of_their_names() -> None:
    text = render_tools((ToolNamespace("python", "p"), ToolNamespace("browser", "b")))
    assert text == "# Tools\n\n## browser\n\nb\n\n## python\n\np"


def test_two_namespaces_of_one_name_are_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="functions"):
        render_tools((ToolNamespace("functions"), ToolNamespace("functions")))


@pytest.mark.parametrize("value", [math.nan, math.inf, b"bytes", {1, 2}, object()])
def test_what_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="not JSON"):
        parameters({"type": "object", "properties": {"a": {"default": value}}})


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def test_deep_schemas_render_up_to_the_limit_and_are_refused_beyond() -> None:
    assert parameters(nested(60)) == f"(_: string{'[]' * 60})"
    with pytest.raises(ToolDefinitionError) as error:
        parameters(nested(100))
    assert error.value.limit == 64
    with pytest.raises(ToolDefinitionError):
        parameters(nested(100_000))


def test_cyclic_schema_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    schema["properties"]["self"] = schema
    with pytest.raises(ToolDefinitionError, match="not JSON"):
        parameters(schema)
