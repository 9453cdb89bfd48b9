"""The full mode: what it says that the reference does not, and that it changes nothing that was right."""

import random
from typing import Any

import pytest

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.harmony.schema import render_namespace, render_tools
from ossia.tools.calculator import calculator

from .schema_cases import NASTY, anything, rightly_written_object


def namespace(*tools: ToolSpec) -> str:
    """What stands between the braces of the namespace, in full mode."""
    text = render_namespace(ToolNamespace("functions", "", tools), "full")
    return text.split("namespace functions {\n\n")[1].removesuffix("\n} // namespace functions")


def written(prop: Any, definitions: dict[str, Any] | None = None) -> str:
    """The lines of a required property `a`."""
    schema = {"type": "object", "properties": {"a": prop}, "required": ["a"], "$defs": definitions or {}}
    text = namespace(ToolSpec("f", "", schema))
    return text.split("type f = (_: {\n")[1].removesuffix("\n}) => any;\n")


STRING, NUMBER, NULL = {"type": "string"}, {"type": "number"}, {"type": "null"}
FIELD = {"type": "object", "properties": {"x": STRING}, "required": ["x"]}


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        ({"anyOf": [STRING, NUMBER]}, "a: string | number,"),
        ({"anyOf": [STRING, NULL], "default": None}, "a: string | null, // default: null"),
        ({"anyOf": [STRING, NULL], "nullable": True}, "a: string | null,"),
        ({"anyOf": [{"enum": ["x"]}, {"type": "array", "items": STRING}]}, 'a: "x" | string[],'),
        ({"type": "object", "anyOf": [{"required": ["x"]}, {}]}, "a: {\n    x: any,\n    } | {\n    },"),
        ({"const": "x"}, 'a: "x",'),
        ({"type": "string", "const": "x"}, 'a: "x",'),
        ({"const": None}, "a: null,"),
        ({"const": {"k": [1, True]}}, 'a: {"k":[1,true]},'),
        ({"type": "integer", "enum": [1, 2, -3]}, "a: 1 | 2 | -3,"),
        ({"enum": ["x", 1, 2.5, True, None]}, 'a: "x" | 1 | 2.5 | true | null,'),
        ({"type": "boolean", "enum": [True]}, "a: true,"),
        ({"type": ["string", "null"], "enum": ["x", None]}, 'a: "x" | null,'),
        ({"type": "string", "enum": ["x", None], "nullable": True}, 'a: "x" | null,'),
        ({"type": "string", "enum": ["nullable"], "nullable": True}, 'a: "nullable" | null,'),
        ({"type": "string", "enum": [1]}, "a: 1,"),
        ({"type": "null"}, "a: null,"),
        ({"type": ["array", "null"]}, "a: Array<any> | null,"),
        ({"type": ["array", "null"], "items": STRING}, "a: string[] | null,"),
        ({"type": ["object", "null"], "properties": {}}, "a: {\n    } | null,"),
        ({"type": ["strange; type x = y", "string"]}, "a: any | string,"),
        ({"type": "array", "items": {"enum": ["x", "y"]}}, 'a: ("x" | "y")[],'),
        ({"type": "array", "items": {"type": "string", "nullable": True}}, "a: (string | null)[],"),
        ({"type": "array", "items": {"anyOf": [STRING, NUMBER]}}, "a: (string | number)[],"),
        (
            {"type": "array", "items": {"oneOf": [STRING, NUMBER]}},
            "a: (\n     | string\n     | number\n    )[],",
        ),
        ({"type": "array", "items": {"type": "array", "items": {"enum": [1, 2]}}}, "a: (1 | 2)[][],"),
        ({"items": STRING}, "a: string[],"),
        ({"type": "array", "prefixItems": [STRING, NUMBER]}, "a: [string, number],"),
        ({"type": "array", "prefixItems": [STRING, NUMBER], "minItems": 1}, "a: [string, number?],"),
        ({"type": "array", "prefixItems": [STRING], "items": NUMBER}, "a: [string, ...number[]],"),
        ({"type": "array", "prefixItems": [STRING], "items": NUMBER, "maxItems": 1}, "a: [string],"),
        ({"type": "array", "items": [STRING, {"enum": [1, 2]}]}, "a: [string, 1 | 2],"),
        ({"type": "array", "prefixItems": [{"enum": [1, 2]}], "minItems": 0}, "a: [(1 | 2)?],"),
        ({"type": "object", "additionalProperties": NUMBER}, "a: Record<string, number>,"),
        ({"type": "object", "additionalProperties": {"enum": [1, 2]}}, "a: Record<string, 1 | 2>,"),
        ({"patternProperties": {"^x": STRING}}, "a: Record<string, string>,"),
        (
            {"type": "object", "additionalProperties": STRING, "propertyNames": {"enum": ["k", "l"]}},
            'a: Partial<Record<"k" | "l", string>>,',
        ),
        ({**FIELD, "additionalProperties": NUMBER}, "a: {\n    x: string,\n    } & Record<string, number>,"),
        ({**FIELD, "required": ["x", "y"]}, "a: {\n    x: string,\n    y: any,\n    },"),
        ({"properties": {"x": STRING}}, "a: {\n    x?: string,\n    },"),
        (True, "a: any,"),
        ({}, "a: any,"),
        (False, "a: never,"),
        ({"type": "array", "items": False}, "a: never[],"),
        ({"oneOf": [], "type": "string", "description": "D."}, "// D.\na: string,"),
        ({"oneOf": [STRING, NUMBER], "nullable": True}, "a:\n | string\n | number\n | null\n,"),
        (
            {"oneOf": [STRING, {"oneOf": [NUMBER, NULL]}]},
            "a:\n | string\n | (\n    | number\n    | null\n   )\n,",
        ),
        ({"oneOf": [{"const": 1, "title": "One"}, {"const": 2}]}, "a:\n | 1 // One\n | 2\n,"),
        ({"anyOf": [{**STRING, "description": "A name."}, NUMBER]}, "a:\n | string // A name.\n | number\n,"),
        ({"type": "string", "oneOf": [{"const": "x"}, {"pattern": "^y"}]}, 'a:\n | "x"\n | string\n,'),
        ({**FIELD, "oneOf": [{"minProperties": 1}, True]}, "a: {\n    x: string,\n    },"),
        ({"allOf": [FIELD]}, "a: {\n    x: string,\n    },"),
        ({"allOf": [FIELD, {"properties": {"y": NUMBER}}]}, "a: {\n    x: string,\n    y?: number,\n    },"),
        ({"allOf": [{"properties": {"x": STRING}}, {"required": ["x"]}]}, "a: {\n    x: string,\n    },"),
        ({"allOf": [FIELD, {"properties": {"x": {"enum": ["v"]}}}]}, 'a: {\n    x: "v",\n    },'),
        ({"allOf": [{"enum": ["x", "y"]}, {"enum": ["y"]}]}, 'a: ("x" | "y") & "y",'),
        ({"allOf": [{"oneOf": [STRING, NULL]}]}, "a: \n     | string\n     | null,"),
        (
            {"allOf": [{"allOf": [{"enum": [1, 2, 3]}, {"enum": [2, 3]}]}, {"enum": [3]}]},
            "a: (1 | 2 | 3) & (2 | 3) & 3,",
        ),
        ({"allOf": [STRING, False]}, "a: never,"),
        ({"allOf": [{"allOf": 1.5}, {"required": "x"}, 3]}, "a: any,"),
        ({"allOf": [True, STRING]}, "a: string,"),
    ],
)
def test_what_the_reference_leaves_out(schema: Any, line: str) -> None:
    assert written(schema) == line


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        ({"type": "string", "description": "One.\nTwo.\r\n\rX."}, "// One.\n// Two.\n// \n// X.\na: string,"),
        ({"type": "string", "description": "a\u2028b\u2029c */"}, "// a\n// b\n// c */\na: string,"),
        ({"type": "string", "title": "T\nU"}, "// T\n// U\n//\na: string,"),
        ({"type": "string", "default": 'say "hi"\n\\'}, 'a: string, // default: "say \\"hi\\"\\n\\\\"'),
        ({"enum": ["x\ny"], "default": "x\ny"}, 'a: "x\\ny", // default: "x\\ny"'),
        ({"default": {"k": "\u2028"}}, 'a: any, // default: {"k":"\\u2028"}'),
        ({"type": "string", "enum": ['"', "\\", "\n", "\u2028", "\ud800", "é"]},
         'a: "\\"" | "\\\\" | "\\n" | "\\u2028" | "\\ud800" | "é",'),
        ({"type": "number", "examples": [1, "x\ny", None]},
         '// Examples:\n// - 1\n// - "x\\ny"\n// - null\na: number,'),
        ({"oneOf": [{**STRING, "description": "One.\nTwo.", "default": "v"}, NUMBER]},
         'a:\n | string // One.\n   // Two. default: "v"\n | number\n,'),
        ({"oneOf": [STRING], "description": "One.\nTwo."}, "// One.\n// Two.\na:\n | string\n,"),
        ({"oneOf": [STRING], "default": "x\ny"}, '// default: "x\\ny"\na:\n | string\n,'),
        ({**FIELD, "description": "One.\nTwo."},
         "// One.\n// Two.\na:     // One.\n    // Two.\n{\n    x: string,\n    },"),
    ],
)  # fmt: skip
def test_nothing_breaks_out_of_comments_and_strings(schema: Any, line: str) -> None:
    assert written(schema) == line


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("my-prop", '"my-prop"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("1e3", '"1e3"'),
        ("01", '"01"'),
        ('q"\n', '"q\\"\\n"'),
        ("$ref", "$ref"),
        ("이름", "이름"),
        ("42", "42"),
        ("class", "class"),
    ],
)
def test_property_names_are_quoted_when_they_must_be(name: str, shown: str) -> None:
    text = namespace(ToolSpec("f", "", {"type": "object", "properties": {name: NULL}}))
    assert text == f"type f = (_: {{\n{shown}?: null,\n}}) => any;\n"


def test_references_become_named_types_before_the_tool() -> None:
    schema = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/Node", "description": "The tree."}},
        "$defs": {
            "Node": {
                "type": "object",
                "description": "A node.\nOf a tree.",
                "properties": {
                    "value": {"$ref": "#/$defs/Value"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
            },
            "Value": {"anyOf": [STRING, NUMBER]},
            "Unused": STRING,
        },
    }
    assert namespace(ToolSpec("f", "Does it.", schema)) == (
        "// A node.\n// Of a tree.\ntype Node = {\nvalue?: Value,\nchildren?: Node[],\n};\n\n"
        "type Value = string | number;\n\n"
        "// Does it.\ntype f = (_: {\n// The tree.\ntree?: Node,\n}) => any;\n"
    )


@pytest.mark.parametrize(
    ("prop", "line"),
    [
        ({"$ref": "#/$defs/X", "nullable": True}, "a: X | null,"),
        ({"allOf": [{"$ref": "#/$defs/X"}], "description": "D."}, "// D.\na: X,"),
        ({"allOf": [{"$ref": "#/$defs/X"}, FIELD]}, "a: X & {\n    x: string,\n    },"),
        ({"allOf": [{"$ref": "#/$defs/X"}, {"$ref": "#/$defs/my-Type"}]}, "a: X & my_Type,"),
        ({"type": "array", "items": {"$ref": "#/$defs/X"}}, "a: X[],"),
        ({"$ref": "#/$defs/my-Type"}, "a: my_Type,"),
        ({"$ref": "#/$defs/a~1b%20c"}, "a: a_b_c,"),
        ({"$ref": "#/$defs/string"}, "a: string2,"),
        ({"$ref": "#/$defs/f"}, "a: f2,"),
        ({"$ref": "#/$defs/alias"}, "a: X,"),
        ({"$ref": "#/$defs/circle"}, "a: any,"),
        ({"$ref": "#/$defs/none"}, "a: any,"),
        ({"$ref": "#/$defs/never"}, "a: never,"),
        ({"$ref": "other.json#/X"}, "a: any,"),
        ({"$ref": "#/$defs/X/properties/p"}, "a: p,"),
        (
            {"additionalProperties": STRING, "propertyNames": {"$ref": "#/$defs/E"}},
            "a: Partial<Record<E, string>>,",
        ),
        (
            {"additionalProperties": STRING, "propertyNames": {"$ref": "#/$defs/X"}},
            "a: Record<string, string>,",
        ),
    ],
)
def test_what_a_reference_is_called(prop: Any, line: str) -> None:
    definitions = {
        "X": {"type": "object", "properties": {"p": STRING}},
        "my-Type": STRING,
        "a/b c": STRING,
        "string": STRING,
        "f": STRING,
        "alias": {"$ref": "#/$defs/X"},
        "circle": {"$ref": "#/$defs/circle"},
        "never": False,
        "E": {"enum": ["x", "y"]},
    }
    assert written(prop, definitions) == line


def test_a_schema_that_contains_itself_is_named() -> None:
    schema = {"type": "object", "properties": {"inner": {"$ref": "#"}}}
    assert namespace(ToolSpec("f", "", schema)) == (
        "type f_parameters = {\ninner?: f_parameters,\n};\n\ntype f = (_: f_parameters) => any;\n"
    )


def test_tools_share_a_definition_only_when_it_is_the_same() -> None:
    def tool(name: str, street: Any) -> ToolSpec:
        definitions = {"Home": {"properties": {"street": {"$ref": "#/$defs/Street"}}}, "Street": street}
        prop = {"type": "object", "properties": {"home": {"$ref": "#/$defs/Home"}}}
        return ToolSpec(name, "", {**prop, "$defs": definitions})

    text = namespace(tool("f", STRING), tool("g", STRING), tool("h", NUMBER))
    assert text.count("type Home =") == 1
    assert text.count("type Street = string") == 1
    assert "type Home2 = {\nstreet?: Street2,\n};\n\ntype Street2 = number;\n\ntype h" in text
    assert "type g = (_: {\nhome?: Home,\n})" in text


def test_a_long_chain_of_definitions_is_followed() -> None:
    definitions = {f"D{i}": {"items": {"$ref": f"#/$defs/D{i + 1}"}} for i in range(3000)} | {"D3000": STRING}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/D2700"}}, "$defs": definitions}
    text = namespace(ToolSpec("f", "", schema))
    assert "type D2700 = D2701[];" in text
    assert "type D3000 = string;" in text


def test_a_definition_that_reaches_very_far_is_its_tools_own() -> None:
    definitions = {f"D{i}x": {"items": {"$ref": f"#/$defs/D{i + 1}x"}} for i in range(150)}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/D0x"}}, "$defs": definitions}
    text = namespace(ToolSpec("f", "", schema), ToolSpec("g", "", schema))
    assert "type D0x2 = D1x2[];" in text
    assert text.count("type D140x =") == 1
    assert "type D140x2 =" not in text


def test_alternatives_at_the_top_close_their_comment() -> None:
    schema = {"oneOf": [FIELD, {"type": "object", "description": "Nothing."}]}
    assert namespace(ToolSpec("f", "", schema)) == (
        "type f = (_: \n | {\n   x: string,\n   }\n |    // Nothing.\n{\n   } // Nothing.\n) => any;\n"
    )


def test_descriptions_of_tools_and_namespaces_stay_comments() -> None:
    ns = ToolNamespace("functions", "One\rtwo.", (ToolSpec("f", "Three\u2028four.\nfive."),))
    assert render_namespace(ns, "full") == (
        "## functions\n\n// One\n// two.\nnamespace functions {\n\n"
        "// Three\n// four.\n// five.\ntype f = () => any;\n\n} // namespace functions"
    )


def test_prose_namespaces_are_alike() -> None:
    spaces = (ToolNamespace("python", "Runs\r\n\ncode."), ToolNamespace("browser"))
    assert render_tools(spaces, "full") == render_tools(spaces)


def test_limits_are_those_of_compat() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"allOf": [schema]}
    with pytest.raises(ToolDefinitionError):
        namespace(ToolSpec("f", "", schema))


@pytest.mark.parametrize("mode", ["compat", "full"])
def test_a_tool_of_plain_text_is_a_function_of_a_string(mode: Any) -> None:
    tools = (
        ToolSpec("any", "Says.", {"type": "object"}, text_input=TextInput()),
        ToolSpec("reg", "", text_input=TextInput(regex="a+\nb")),
        ToolSpec("gram", "", text_input=TextInput(lark='start: "x"\n\n*/\n')),
    )
    assert render_namespace(ToolNamespace("functions", "", tools), mode) == (
        "## functions\n\nnamespace functions {\n\n"
        "// Says.\n// The input is plain text, not JSON.\ntype any = (_: string) => any;\n\n"
        "// The input is plain text, not JSON.\n// It matches this regular expression:\n//   a+\n//   b\n"
        "type reg = (_: string) => any;\n\n"
        "// The input is plain text, not JSON.\n// It matches this Lark grammar:\n"
        '//   start: "x"\n//   \n//   */\n'
        "type gram = (_: string) => any;\n\n} // namespace functions"
    )


def test_the_calculator_is_alike_in_both_modes() -> None:
    ns = ToolNamespace("functions", "", (calculator().spec,))
    assert render_namespace(ns, "full") == render_namespace(ns, "compat")


def test_full_is_compat_wherever_compat_is_right() -> None:
    for seed in range(3000):
        rng = random.Random(seed)
        tools = tuple(ToolSpec(f"f{i}", "One.\nTwo.", rightly_written_object(rng, 3)) for i in range(2))
        ns = ToolNamespace("functions", "Some\n\ntools.", tools)
        assert render_namespace(ns, "full") == render_namespace(ns, "compat"), seed


def test_any_json_is_written() -> None:
    """What is no schema is the caller's slip, not a reason to fail: as in the reference, it is `any`."""
    for seed in range(3000):
        schema = anything(random.Random(seed))
        parameters = schema if isinstance(schema, dict) else {"properties": {"a": schema}}
        text = render_namespace(ToolNamespace("functions", "", (ToolSpec("f", "", parameters),)), "full")
        assert text.endswith(") => any;\n\n} // namespace functions"), seed


def test_no_text_leaves_its_line() -> None:
    """Every nasty text, everywhere a text can be: none adds a line that is neither comment nor type."""
    for text in NASTY:
        prop = {"type": "string", "description": text, "title": text, "default": text, "examples": [text]}
        lines = written(prop).replace("\r\n", "\n").split("\n")
        assert all(line.startswith("//") or line == "" for line in lines[:-1]), text
        assert lines[-1].startswith("a: string, // default: "), text
