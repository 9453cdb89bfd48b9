"""What schemas, regexes and grammars become: what is enforced is enforced, the rest is named."""

import json
import random
from typing import Any

import jsonschema
import llguidance
import numpy as np
import pytest

from ossia.errors import InputError
from ossia.harmony.grammar.check import json_problem, text_problem
from ossia.harmony.grammar.enforce import Body, schema_body, text_body
from ossia.harmony.grammar.vocabulary import byte_vocabulary
from ossia.harmony.messages import TextInput

Schema = dict[str, Any]


def of(**properties: Any) -> Schema:
    names = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


NODE = {"type": "object", "properties": {"v": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}}
FORMATS = ("date-time", "time", "date", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "duration")
ENFORCED: dict[str, Schema] = {
    "integers": of(a={"type": "integer", "minimum": -17, "maximum": 1003}, b={"exclusiveMaximum": 0}),
    "numbers": of(a={"type": "number", "exclusiveMinimum": -0.5, "exclusiveMaximum": 7.25}),
    "multiples": of(a={"type": "integer", "multipleOf": 7}, b={"type": "number", "multipleOf": 2.5}),
    "lengths": of(a={"type": "string", "minLength": 2, "maxLength": 4}, b={"maxLength": 0, "type": "string"}),
    "anchors": of(
        a={"type": "string", "pattern": "^(ab|cd)$"}, b={"type": "string", "pattern": "x$", "maxLength": 9}
    ),
    "classes": of(a={"type": "string", "pattern": "^\\w{2}\\d\\s[^\\s\\d]$"}),
    "odd classes": of(
        a={"type": "string", "pattern": "^[a-z&&[b]+$"}, b={"type": "string", "pattern": "^[--/]$"}
    ),
    "escapes": of(a={"type": "string", "pattern": "^\\/\\u00e9\\x41\\t\\.$"}),
    "pattern and length": of(a={"type": "string", "pattern": "^a*$", "minLength": 2, "maxLength": 4}),
    "formats": of(**{f"f{i}": {"type": "string", "format": name} for i, name in enumerate(FORMATS)}),
    "enum": of(a={"enum": ["x", 1, 1.5, None, True, [1, {"b": 2}], {"a": []}]}, b={"const": {"z": 'é"\\'}}),
    "enum with siblings": of(a={"enum": [1, 5, 9], "minimum": 3}, b={"enum": ["a", "bcd"], "minLength": 2}),
    "arrays": of(a={"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}),
    "tuples": of(a={"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}}),
    "tuples of old": of(a={"type": "array", "items": [{"const": 1}], "additionalItems": False}),
    "any of": of(a={"anyOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}, {"type": "array"}]}),
    "any of with siblings": of(a={"type": "integer"})
    | {"additionalProperties": True, "anyOf": [{"required": ["b"]}, {"required": ["c"]}]},
    "one of types": of(a={"oneOf": [{"type": "string"}, {"type": "null"}, {"type": "integer"}]}),
    "one of kinds": of(
        a={"oneOf": [of(kind={"const": "x"}), of(kind={"const": "y"}, n={"type": "integer"})]}
    ),
    "all of": of(a={"allOf": [{"type": "string", "minLength": 2}, {"maxLength": 3}, {"pattern": "^a"}]}),
    "all of objects": {
        "allOf": [of(a={"type": "integer"}) | {"additionalProperties": True}, {"required": ["b"]}],
        "properties": {"a": {"minimum": 3}},
    },
    "additional": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "additionalProperties": {"const": 1},
    },
    "pattern properties": {
        "type": "object",
        "properties": {"ab": {"minimum": 3}},
        "patternProperties": {"^a": {"type": "integer"}},
        "additionalProperties": {"type": "boolean"},
    },
    "counted properties": {"type": "object", "minProperties": 1, "maxProperties": 2},
    "required only": {"type": "object", "required": ["x", "y"], "additionalProperties": {"type": "integer"}},
    "references": of(a={"$ref": "#/$defs/p", "maximum": 3})
    | {"$defs": {"p": {"type": "integer", "minimum": 2}}},
    "references within": of(a={"type": "integer", "maximum": 3}, b={"$ref": "#/properties/a"}),
    "escaped references": of(a={"$ref": "#/$defs/x~1y"}) | {"$defs": {"x/y": {"const": 5}}},
    "anchored references": of(a={"$ref": "#foo"}) | {"$defs": {"p": {"$anchor": "foo", "const": 5}}},
    "recursion": of(a={"$ref": "#/$defs/node"}) | {"$defs": {"node": NODE}},
    "recursion of the root": {"type": "object", "properties": {"v": {"const": 1}, "next": {"$ref": "#"}}},
    "an option that never ends": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/p"}, "b": {"type": "array", "items": {"$ref": "#/$defs/p"}}},
        "additionalProperties": False,
        "$defs": {"p": {"type": "object", "properties": {"p": {"$ref": "#/$defs/p"}}, "required": ["p"]}},
    },
    "above zero": of(a={"type": "number", "exclusiveMinimum": 0, "maximum": 10}),
    "no type": {"properties": {"a": {"minimum": 3}}, "required": ["a"]},
    "several types": of(a={"type": ["string", "integer", "null"], "minLength": 2, "minimum": 5}),
    "draft 4": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        **of(a={"type": "integer", "minimum": 3, "exclusiveMinimum": True, "maximum": 6}),
    },
    "draft 7": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **of(a={"type": "array", "items": [{"const": 1}], "additionalItems": {"const": 2}}),
    },
    "names": of(
        **{"ключ": {"const": "знач"}, 'q"\\': {"type": "null"}, "😀": {"type": "string", "maxLength": 1}}
    ),
    "nothing": of(),
    "anything": {},
    "annotations": of(a={"type": "string", "title": "A", "default": 1, "deprecated": True, "examples": [1]}),
    "what says nothing": of(a={"type": "array", "uniqueItems": False}) | {"unevaluatedProperties": True},
}


def values(body: Body, count: int, seed: int = 0) -> list[str]:
    """Random texts under a body's grammar, byte by byte, ends and closing brackets likelier than the rest."""
    rng = random.Random(seed)
    texts = (_value(body, rng) for _ in range(count * 4))
    return [text for text in texts if text is not None][:count]


def _value(body: Body, rng: random.Random, limit: int = 400) -> str | None:
    matcher = llguidance.LLMatcher(byte_vocabulary(), json.dumps({"grammars": [body.grammar]}), log_level=0)
    out = bytearray()
    while len(out) < limit:
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        allowed = np.flatnonzero(np.unpackbits(bits, bitorder="little")[:256]).tolist()
        if matcher.is_accepting() and (not allowed or rng.random() < 0.5):
            return out.decode()
        assert allowed, f"a dead end after {out!r}"
        closing = [byte for byte in allowed if byte in b'"}],']
        usual = [byte for byte in allowed if chr(byte).isalnum() or byte in b"-.:@/"]
        choices = closing if closing and rng.random() < 0.4 else usual if rng.random() < 0.8 else allowed
        byte = rng.choice(choices or allowed)
        assert matcher.consume_token(byte), matcher.get_error()
        out.append(byte)
    return None


@pytest.mark.parametrize("name", ENFORCED)
def test_what_is_enforced_is_valid(name: str) -> None:
    schema = ENFORCED[name]
    body = schema_body(schema, "it", is_object=True, strict=True)
    assert body.gaps == ()
    texts = values(body, 8)
    assert len(texts) >= 4
    for text in texts:
        value = json.loads(text)
        assert isinstance(value, dict)
        assert json_problem(text, schema, is_object=True) is None
        if "of old" not in name and "odd" not in name:  # said in another way, and warned of by Python
            jsonschema.validate(value, schema)


GAPS: dict[str, tuple[Schema, str]] = {
    "not": (of(a={"not": {"type": "string"}}), "'not' at #/properties/a"),
    "if": ({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}, "'if' at #"),
    "uniqueItems": (of(a={"type": "array", "uniqueItems": True}), "'uniqueItems' at #/properties/a"),
    "contains": (of(a={"type": "array", "contains": {"const": 1}}), "'contains' at #/properties/a"),
    "propertyNames": ({"propertyNames": {"pattern": "^a"}}, "'propertyNames' at #"),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, "'dependentRequired' at #"),
    "unevaluatedProperties": (of(a={}) | {"unevaluatedProperties": False}, "'unevaluatedProperties' at #"),
    "unknown format": (of(a={"type": "string", "format": "color"}), "'format' at #/properties/a"),
    "look-ahead": (of(a={"type": "string", "pattern": "^(?!x)"}), "'pattern' at #/properties/a"),
    "back-reference": (of(a={"type": "string", "pattern": r"(a)\1"}), "'pattern' at #/properties/a"),
    "oneOf that overlaps": (
        of(a={"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        "'oneOf' at #/properties/a",
    ),
    "patterns that overlap": (
        {"type": "object", "patternProperties": {"^a": {"type": "integer"}, "b$": {"type": "string"}}},
        "'patternProperties' at #",
    ),
    "repeated names": ({"type": "object", "minProperties": 2}, "'minProperties' at #"),
    "optional names counted": (
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "maxProperties": 2},
        "'maxProperties' at #",
    ),
    "elsewhere": (of(a={"$ref": "https://example.org/x.json"}), "'$ref' at #/properties/a"),
    "nowhere": (of(a={"$ref": "#/$defs/none"}), "'$ref' at #/properties/a"),
    "unknown type": (of(a={"type": "strng"}), "'type' at #/properties/a"),
    "beyond a double": (of(a={"const": 12345678901234567890}), "'const' at #/properties/a"),
    "a bound beyond a double": (of(a={"type": "integer", "maximum": 2**60}), "'maximum' at #/properties/a"),
    "zero above a fraction": (
        of(a={"type": "number", "exclusiveMaximum": 0, "minimum": -0.75}),
        "'exclusiveMaximum' at #/properties/a",
    ),
    "zero below a fraction": (
        of(a={"allOf": [{"type": "number", "exclusiveMinimum": 0}, {"maximum": 0.75}]}),
        "'exclusiveMinimum' at #/properties/a/allOf/0",
    ),
    "many remainders": (of(a={"type": "integer", "multipleOf": 99_991}), "'multipleOf' at #/properties/a"),
    "in a list": (
        of(a={"anyOf": [{"type": "array", "uniqueItems": True}, {"type": "null"}]}),
        "'uniqueItems' at #/properties/a/anyOf/0",
    ),
    "in a definition": (
        of(a={"$ref": "#/$defs/x/y"}) | {"$defs": {"x/y": {"format": "color", "type": "string"}}},
        "'format' at #/$defs/x~1y",
    ),
}
GAPS["in a definition"][0]["properties"]["a"]["$ref"] = "#/$defs/x~1y"


@pytest.mark.parametrize("name", GAPS)
def test_what_cannot_be_enforced_is_named_and_the_rest_is_enforced(name: str) -> None:
    schema, gap = GAPS[name]
    schema = schema | {"properties": schema.get("properties", {}) | {"z": {"enum": ["q"]}}}
    schema = schema | {"required": [*schema.get("required", []), "z"]}
    if name == "repeated names":
        schema["minProperties"] = 3
    if name == "optional names counted":
        schema["maxProperties"] = 3
    body = schema_body(schema, "it", is_object=True, strict=False)
    assert gap in [str(g) for g in body.gaps]
    assert {g.path for g in body.gaps} == {body.gaps[0].path}
    for text in values(body, 3):
        assert json.loads(text)["z"] == "q"
    with pytest.raises(InputError) as raised:
        schema_body(schema, "the schema of functions.x", is_object=True, strict=True)
    assert "the schema of functions.x cannot be enforced: " in raised.value.message
    assert str(body.gaps[0]) in raised.value.message
    assert raised.value.value == body.gaps[0].keyword
    assert raised.value.remedy


def test_only_the_guilty_are_left_out() -> None:
    schema = of(
        a={"type": "string", "pattern": "^(?!x)"},
        b={"type": "string", "pattern": "^y$"},
        c={"type": "string", "format": "color"},
        d={"type": "string", "format": "date"},
        e={"oneOf": [{"type": "integer"}, {"type": "number"}]},
        f={"oneOf": [{"type": "integer"}, {"type": "string"}]},
    )
    body = schema_body(schema, "it", is_object=True, strict=False)
    assert sorted(str(gap) for gap in body.gaps) == [
        "'format' at #/properties/c",
        "'oneOf' at #/properties/e",
        "'pattern' at #/properties/a",
    ]
    for text in values(body, 4):
        value = json.loads(text)
        assert value["b"] == "y"
        jsonschema.validate(value["d"], {"pattern": r"^\d{4}-\d\d-\d\d$"})
        assert isinstance(value["e"], int | float)  # one of two numbers: any of them


@pytest.mark.parametrize(
    "schema",
    [
        of(a=False),
        of(a={"enum": []}),
        of(a={"type": "integer", "minimum": 5, "maximum": 2}),
        of(a={"type": "string", "minLength": 5, "maxLength": 2}),
        of(a={"type": "string", "pattern": "^a$", "maxLength": 0}),
        of(a={"type": "string", "pattern": "[^\\s\\S]"}),
        of(a={"allOf": [{"type": "string"}, {"type": "integer"}]}),
        {"type": "object", "properties": {"x": {"$ref": "#"}}, "required": ["x"]},
        {"$ref": "#"},
        of(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"$ref": "#/$defs/a"}}},
        of(a={"$ref": "#/$defs/a"}) | {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        of(a={"$ref": "#/$defs/a"})
        | {"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}}},
    ],
)
def test_what_nothing_satisfies_is_refused(schema: Schema) -> None:
    with pytest.raises(InputError, match=r"satisfied by nothing|requires itself"):
        schema_body(schema, "it", is_object=True, strict=False)


def test_arguments_that_are_no_object_are_refused() -> None:
    for kind in ("string", ["array", "null"]):
        with pytest.raises(InputError, match="describes no object"):
            schema_body({"type": kind}, "it", is_object=True, strict=False)
    body = schema_body({"type": ["null", "object"]}, "it", is_object=True, strict=True)
    assert accepts(body, "{}")
    assert not accepts(body, "null")
    assert schema_body({"type": "string"}, "it", is_object=False, strict=True)


def test_a_schema_that_is_not_json_is_refused() -> None:
    with pytest.raises(InputError, match="is not JSON"):
        schema_body({"const": {1, 2}}, "it", is_object=True, strict=False)


def test_a_format_alone_makes_nothing_unsatisfiable() -> None:
    schema = of(
        a={"type": "string", "format": "date", "maxLength": 4}, b={"type": "string", "format": "date"}
    )
    body = schema_body(schema, "it", is_object=True, strict=False)
    assert [str(gap) for gap in body.gaps] == ["'format' at #/properties/a"]


def nested(depth: int) -> Schema:
    return of(a=nested(depth - 1)) if depth else {"type": "string"}


def test_a_schema_nested_too_deeply_is_any_object_or_refused() -> None:
    assert schema_body(nested(40), "it", is_object=True, strict=True).gaps == ()
    body = schema_body(nested(90), "it", is_object=True, strict=False)
    assert [str(gap) for gap in body.gaps] == ["'nesting' at #"]
    assert accepts(body, '{"b": 1}')
    assert not accepts(body, "[]")
    with pytest.raises(InputError, match="nested too deeply"):
        schema_body(nested(600), "it", is_object=True, strict=False)


def test_many_gaps_are_found_quickly_and_exactly() -> None:
    names = {f"p{i}": {"type": "string", "format": "color" if i % 2 else "date"} for i in range(200)}
    body = schema_body({"type": "object", "properties": names}, "it", is_object=True, strict=False)
    assert [gap.path for gap in body.gaps] == [f"#/properties/p{i}" for i in range(1, 200, 2)]


def test_a_schema_of_an_argument_is_always_of_an_object() -> None:
    body = schema_body({}, "it", is_object=True, strict=True)
    assert all(text.startswith("{") for text in values(body, 5))
    body = schema_body({}, "it", is_object=False, strict=True)
    assert any(not text.startswith("{") for text in values(body, 20))


def accepts(body: Body, text: str) -> bool:
    return text_problem(text, body.grammar) is None


def test_whitespace_is_what_models_write_and_no_more() -> None:
    body = schema_body(
        of(a={"type": "array", "items": {"type": "integer"}}), "it", is_object=True, strict=True
    )
    pretty = json.dumps({"a": [1, 2]}, indent=4)
    for text in ('{"a":[1,2]}', '{"a": [1, 2]}', '{ "a" : [ 1 , 2 ] }', pretty, pretty.replace("\n", "\r\n")):
        assert accepts(body, text)
    for text in ('{"a":' + " " * 50 + "[1]}", '{"a":' + "\n" * 5 + "[1]}", ' {"a":[1]}', '{"a":[1]}\n'):
        assert not accepts(body, text)


@pytest.mark.parametrize(
    ("schema", "escapes"),
    [
        ({}, "any"),
        (of(b={"type": "string"}), "any"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "any"),
        ({"patternProperties": {"^b": {"type": "string"}}, "additionalProperties": False}, "any"),
        ({"properties": {"a": {"type": "integer"}, "b": {}}}, "control"),
        ({"required": ["b"], "additionalProperties": {"type": "string"}}, "control"),
        ({"patternProperties": {"^a": {"type": "integer"}}}, "none"),
    ],
)
def test_escapes_are_allowed_where_they_cannot_tell_a_name_otherwise(schema: Schema, escapes: str) -> None:
    body = schema_body(schema, "it", is_object=True, strict=True)
    assert accepts(body, '{"b": "é\\n"}')
    assert accepts(body, '{"b": "\\u0007"}') is (escapes != "none")
    assert accepts(body, '{"b": "\\u00e9\\ud83e\\udda5"}') is (escapes == "any")
    assert not accepts(body, '{"b": "\\ud83e"}')
    if escapes != "any":
        assert not accepts(body, '{"\\u0061": "not an integer", "b": "x"}')


@pytest.mark.parametrize(
    ("text_input", "good", "bad"),
    [
        (TextInput(regex=r"\d{3}"), "123", "12"),
        (TextInput(regex='a\nb/c"é\\/'), 'a\nb/c"é/', "a"),
        (TextInput(regex="(?i)yes|no"), "YES", "maybe"),
        (TextInput(regex=""), "", "a"),
        (TextInput(lark='start: "a" x*\nx: /[bc]/  // comment with <x> and @y'), "abcb", "b"),
        (TextInput(lark='start: A "<|end|>"\nA: /[@<]/'), "@<|end|>", "@"),
    ],
)
def test_text_inputs(text_input: TextInput, good: str, bad: str) -> None:
    body = text_body(text_input, "it")
    assert accepts(body, good)
    assert not accepts(body, bad)


def test_any_text_has_no_grammar() -> None:
    assert text_body(TextInput(), "it") == Body(None)
    assert text_problem("whatever", None) is None


@pytest.mark.parametrize(
    ("text_input", "why"),
    [
        (TextInput(regex="a(b"), "cannot be used"),
        (TextInput(regex="(?=a)b"), "cannot be used"),
        (TextInput(regex=r"[^\s\S]"), "nothing matches it"),
        (TextInput(lark="start: x"), "cannot be used"),
        (TextInput(lark="start: A\nA: /a/ & /b/"), "nothing matches it"),
        (TextInput(lark='start: x\nx: "a" x'), "no way to end"),
        (TextInput(lark="start: <|end|>"), "uses '<'"),
        (TextInput(lark="start: <[200007]>"), "uses '<'"),
        (TextInput(lark='start: /a\n"/ <[200007]> /" b/'), "uses '<'"),
        (TextInput(lark='start: "a\n" <[5]> "'), "uses '\"'"),
        (TextInput(lark='start: <a"b> "'), "uses '<'"),
        (TextInput(lark="start: @body0"), "uses '@'"),
        (TextInput(lark="start: x\nx[max_tokens=3]: /a+/"), "uses 'max_tokens='"),
        (TextInput(lark='%llguidance {"no_forcing": true}\nstart: "a"'), "uses '%llguidance'"),
        (TextInput(regex="a", lark='start: "a"'), "both"),
    ],
)
def test_text_inputs_that_cannot_be(text_input: TextInput, why: str) -> None:
    with pytest.raises(InputError, match=why):
        text_body(text_input, "it")
