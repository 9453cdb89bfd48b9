import pytest

from ossia.agent.events import Note
from ossia.errors import InputError
from ossia.harmony.grammar import AllowedTools
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.server.declared import ClientTool, declare

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Weather.", "parameters": SCHEMA}
CODE = {"type": "custom", "name": "code", "description": "Code."}


def test_nothing_declared():
    for tools in (None, []):
        declared = declare(tools)
        assert (declared.namespaces, declared.choice, declared.warnings) == ((), "auto", ())


def test_functions_of_either_api():
    nested = {"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}
    expected = (ToolNamespace("functions", tools=(ToolSpec("weather", "Weather.", SCHEMA),)),)
    assert declare([WEATHER]).namespaces == declare([nested]).namespaces == expected
    assert declare([{"name": "f"}]).namespaces[0].tools == (ToolSpec("f"),)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, TextInput()),
        ({"type": "text"}, TextInput()),
        ({"type": "grammar", "syntax": "regex", "definition": "[a-z]+"}, TextInput(regex="[a-z]+")),
        (
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "a"'}},
            TextInput(lark='start: "a"'),
        ),
    ],
)
def test_custom_tools(form, expected):
    declared = declare([{**CODE, "format": form}])
    assert declared.namespaces[0].tools[0].text_input == expected
    assert declared.origin("functions.code") == ClientTool("custom", "code")


def test_a_namespace_is_its_own():
    tools = [
        WEATHER,
        {"type": "namespace", "name": "mcp__db", "description": "A database.", "tools": [WEATHER, CODE]},
    ]
    declared = declare(tools)
    assert [(ns.name, ns.description) for ns in declared.namespaces] == [
        ("functions", ""),
        ("mcp__db", "A database."),
    ]
    assert declared.recipient_of("weather") == "functions.weather"
    assert declared.recipient_of("weather", "mcp__db") == "mcp__db.weather"
    assert declared.recipient_of("code") == "mcp__db.code"  # there alone
    assert declared.origin("mcp__db.code") == ClientTool("custom", "code", "mcp__db")
    assert declared.specs == tuple(tools)


def test_origin_of_what_is_not_declared():
    declared = declare([WEATHER])
    assert declared.origin("functions.old") == ClientTool("function", "old")
    assert declared.origin("browser.open") == ClientTool("function", "open", "browser")
    assert declared.recipient_of("old") == "functions.old"


def test_what_is_not_here_is_named():
    declared = declare(
        [
            {"type": "web_search"},
            WEATHER,
            {"type": 5},
            {"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]},
        ]
    )
    assert [ns.name for ns in declared.namespaces] == ["functions"]
    assert [note.code for note in declared.warnings] == ["tool-left-out"] * 3
    assert declared.warnings[0] == Note(
        "tool-left-out", "tools[0]: this server has no web_search tool, and the model is not told of it"
    )


def test_declared_twice():
    declared = declare([WEATHER, {**WEATHER, "description": "Another."}])
    assert [tool.description for tool in declared.namespaces[0].tools] == ["Weather."]
    assert [note.code for note in declared.warnings] == ["tool-declared-twice"]


def test_a_schema_that_cannot_be_enforced_is_not_refused():
    schema = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}, "required": ["a"]}
    declared = declare([{"type": "function", "name": "f", "parameters": schema, "strict": True}])
    assert not declared.namespaces[0].tools[0].strict
    assert [note.code for note in declared.warnings] == ["not-strict"]
    assert "tools[0].parameters: 'not' at #/properties/a" in declared.warnings[0].detail
    assert declare([{"type": "function", "name": "f", "parameters": schema, "strict": False}]).warnings == ()


CARELESS = {
    "type": "object",
    "properties": SCHEMA["properties"],
    "required": ["x"],
    "additionalProperties": False,
}


def test_a_schema_that_nothing_satisfies_is_loosened():
    declared = declare([{"type": "function", "name": "f", "parameters": CARELESS}])
    loose = {"type": "object", "properties": SCHEMA["properties"]}
    assert declared.namespaces[0].tools[0].parameters == loose
    assert [note.code for note in declared.warnings] == ["schema-loosened"]
    hopeless = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}, "required": ["a"]}
    tools = declare([{"type": "function", "name": "f", "parameters": hopeless}]).namespaces[0].tools
    assert tools[0].parameters["type"] == "object"
    assert "required" not in tools[0].parameters


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ({}, "tools"),
        ("x", "tools"),
        ([5], "tools[0]"),
        ([{"type": "function"}], "tools[0]"),
        ([{"name": ""}], "tools[0].name"),
        ([{"name": "a b"}], "tools[0].name"),
        ([{"name": "a<|end|>"}], "tools[0].name"),
        ([{"name": "a" * 129}], "tools[0].name"),
        ([WEATHER, {"name": "f", "parameters": []}], "tools[1].parameters"),
        ([{"name": "f", "parameters": {"type": "array"}}], "tools[0].parameters"),
        ([{"name": "f", "parameters": CARELESS, "strict": True}], "tools[0].parameters"),
        (
            [{"type": "namespace", "name": "n", "tools": [{"name": "f", "parameters": {"type": "string"}}]}],
            "tools[0].tools[0].parameters",
        ),
        ([{**CODE, "format": {"type": "grammar", "syntax": "regex", "definition": "("}}], "tools[0].format"),
        ([{**CODE, "format": {"type": "grammar", "syntax": "yacc", "definition": "("}}], "tools[0].format"),
    ],
)
def test_what_cannot_be_declared(tools, param):
    with pytest.raises(InputError) as error:
        declare(tools)
    assert error.value.param == param


def test_the_choice_belongs_to_it():
    assert declare([WEATHER], {"type": "function", "name": "weather"}).choice == AllowedTools(
        ("functions.weather",), True
    )
    assert declare([{"type": "web_search"}], "required").choice == "auto"
    assert len(declare([{"type": "web_search"}], "required").warnings) == 2
