"""Walking schemas: where subschemas are, one form for what dialects say, and what never ends."""

import copy
import re
import warnings
from typing import Any

import llguidance
import pytest

from ossia.harmony.grammar.schemas import (
    cut_endless,
    normalized,
    portable_pattern,
    resolve,
    subschemas,
)


def test_every_place_of_a_subschema_is_visited() -> None:
    schema: dict[str, Any] = {
        "properties": {"a/b~": {"items": {"title": "1"}}},
        "patternProperties": {"^x": {"title": "2"}},
        "$defs": {"d": {"not": {"title": "3"}}},
        "anyOf": [{"title": "4"}, True, {"prefixItems": [{"title": "5"}]}],
        "if": {"title": "6"},
        "else": {"title": "7"},
        "items": [{"title": "8"}],
        "enum": [{"title": "not a schema"}],
        "const": {"properties": {"title": "neither"}},
        "properties of": {"title": "nor this"},
    }
    titles = {node["title"]: path for path, node in subschemas(schema) if "title" in node}
    assert titles == {
        "1": "#/properties/a~1b~0/items",
        "2": "#/patternProperties/^x",
        "3": "#/$defs/d/not",
        "4": "#/anyOf/0",
        "5": "#/anyOf/2/prefixItems/0",
        "6": "#/if",
        "7": "#/else",
        "8": "#/items/0",
    }
    assert next(path for path, _ in subschemas(schema)) == "#"
    for path, node in subschemas(schema):
        assert resolve(schema, path) is node


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"], "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["string"], "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "null", "nullable": True}, {"type": "null"}),
        ({"enum": ["a"], "nullable": True}, {"enum": ["a", None]}),
        (
            {"type": "string", "enum": ["a"], "nullable": True},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"$ref": "#/x", "nullable": True}, {"anyOf": [{"$ref": "#/x"}, {"type": "null"}]}),
        ({"anyOf": [{}], "nullable": True}, {"anyOf": [{}, {"type": "null"}]}),
        ({"type": "string", "nullable": False}, {"type": "string", "nullable": False}),
        ({"items": [{}], "additionalItems": False}, {"prefixItems": [{}], "items": False}),
        ({"items": [{}]}, {"prefixItems": [{}]}),
        ({"minimum": 3, "exclusiveMinimum": True}, {"exclusiveMinimum": 3}),
        ({"maximum": 3, "exclusiveMaximum": False}, {"maximum": 3}),
        ({"minimum": 3, "exclusiveMinimum": 4}, {"minimum": 3, "exclusiveMinimum": 4}),
        ({"pattern": "[a[]"}, {"pattern": "[a\\[]"}),
    ],
)
def test_one_form(given: dict[str, Any], expected: dict[str, Any]) -> None:
    before = repr(given)
    assert normalized({"properties": {"x": given}}) == {"properties": {"x": expected}}
    assert repr(given) == before


def test_old_drafts_keep_their_words() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "items": [{}], "additionalItems": False}
    assert normalized(schema) == schema
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1, "exclusiveMinimum": True}
    assert normalized(schema) == schema


@pytest.mark.parametrize(
    ("pattern", "portable", "good", "bad"),
    [
        ("^[a-z]+$", "^[a-z]+$", "abc", "A"),
        ("^[a-z&&[b]$", "^[a-z\\&\\&\\[b]$", "&", "]"),
        ("^[[a]$", "^[\\[a]$", "[", "b"),
        ("^[--/]$", "^[\\--/]$", ".", "a"),
        ("^[+--]$", "^[+-\\-]$", ",", "a"),
        ("^[^-x]$", "^[^\\-x]$", "a", "-"),
        ("^[]a]$", "^[]a]$", "]", "b"),
        ("^\\[a\\]$", "^\\[a\\]$", "[a]", "a"),
        ("^[a~~b]$", "^[a\\~\\~b]$", "~", "c"),
        ("^[\\]\\[]$", "^[\\]\\[]$", "]", "a"),
        ("^[\\w.+-]+@$", "^[\\w.+-]+@$", "a.b-c@", "@"),
    ],
)
def test_patterns_mean_the_same_in_python_and_in_rust(
    pattern: str, portable: str, good: str, bad: str
) -> None:
    assert portable_pattern(pattern) == portable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled = re.compile(portable)
    bytes_only = llguidance.LLTokenizer("byte")
    whole = portable.removeprefix("^").removesuffix("$")
    for text, matches in ((good, True), (bad, False)):
        assert bool(compiled.search(text)) is matches
        matcher = llguidance.LLMatcher(
            bytes_only, llguidance.LLMatcher.grammar_from_regex(whole), log_level=0
        )
        data = list(text.encode())
        assert (matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()) is matches


NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}, "required": ["next"]}


@pytest.mark.parametrize(
    ("schema", "ends"),
    [
        ({}, True),
        ({"$ref": "#"}, False),
        ({"$ref": "#/$defs/none"}, True),
        ({"$ref": "https://example.org"}, True),
        ({"$ref": "#/$defs/n", "$defs": {"n": NODE}}, False),
        ({"$ref": "#/$defs/n", "$defs": {"n": {**NODE, "required": []}}}, True),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": [NODE, {"type": "null"}]}}}, True),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"oneOf": [NODE, NODE]}}}, False),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"allOf": [NODE, {"type": "object"}]}}}, False),
        ({"$ref": "#/$defs/n", "$defs": {"n": {**NODE, "type": ["object", "null"]}}}, True),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}, True),
        (
            {
                "$ref": "#/$defs/n",
                "$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}, "minItems": 1}},
            },
            False,
        ),
        (
            {
                "$ref": "#/$defs/n",
                "$defs": {"n": {"type": "array", "prefixItems": [{"$ref": "#"}], "minItems": 1}},
            },
            False,
        ),
        ({"properties": {"a": {"$ref": "#/$defs/n"}}, "$defs": {"n": NODE}}, True),
        (
            {
                "type": "object",
                "properties": {"a": {"$ref": "#/$defs/a"}},
                "required": ["a"],
                "$defs": {"a": {}},
            },
            True,
        ),
    ],
)
def test_what_requires_itself_never_ends(schema: dict[str, Any], ends: bool) -> None:
    assert cut_endless(copy.deepcopy(schema)) is ends


def test_an_option_that_never_ends_is_taken_away() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/m"}},
        "$defs": {"n": NODE, "m": {}},
    }
    schema = copy.deepcopy(schema)
    assert cut_endless(schema)
    assert schema["properties"] == {"a": {"enum": []}, "b": {"$ref": "#/$defs/m"}}
