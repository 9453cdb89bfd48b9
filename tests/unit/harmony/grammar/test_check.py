"""Checking bodies after the fact: what jsonschema says, and the few places where it is asked otherwise."""

from typing import Any

import pytest

from ossia.harmony.grammar.check import json_problem, text_problem
from ossia.harmony.grammar.enforce import text_body
from ossia.harmony.messages import TextInput


@pytest.mark.parametrize(
    ("text", "schema", "problem"),
    [
        ('{"a": 1}', {"required": ["a"]}, None),
        ('{"b": 1}', {"required": ["a"]}, "'a' is a required property"),
        (
            '{"a": [1, 1]}',
            {"properties": {"a": {"uniqueItems": True}}},
            "$.a: [1, 1] has non-unique elements",
        ),
        ('{"a": 1', {}, "not valid JSON"),
        ("", {}, "not valid JSON"),
        ('{"a": NaN}', {}, "NaN is not JSON"),
        ("[1]", {}, "not a JSON object"),
        ("[" * 100_000, {}, "nested too deeply"),
        ('{"a": null}', {"properties": {"a": {"type": "string", "nullable": True}}}, None),
        ('{"a": null}', {"properties": {"a": {"type": "string"}}}, "None is not of type 'string'"),
        ('{"a": 0.3}', {"properties": {"a": {"multipleOf": 0.1}}}, None),
        ('{"a": 0.35}', {"properties": {"a": {"multipleOf": 0.1}}}, "0.35 is not a multiple of 0.1"),
        ('{"a": true}', {"properties": {"a": {"multipleOf": 2}}}, None),
        ('{"a": "é"}', {"properties": {"a": {"pattern": r"^\W$"}}}, None),
        ('{"a": "٣"}', {"properties": {"a": {"pattern": r"^\d$"}}}, "does not match"),
        ('{"a": "x\\u007f\\ud800y"}', {"properties": {"a": {"pattern": "^x..y$"}}}, None),
        ('{"a": "xy"}', {"properties": {"a": {"pattern": "^(?!x)"}}}, "does not match"),
        ('{"a": "yx"}', {"properties": {"a": {"pattern": "^(?!x)"}}}, None),
        ('{"a": "x"}', {"properties": {"a": {"pattern": "^[[a]$"}}}, "does not match"),
        ('{"a": "É"}', {"properties": {"a": {"pattern": r"^\p{Lu}$"}}}, None),
        ('{"a": "é"}', {"properties": {"a": {"pattern": r"^\p{Lu}$"}}}, "does not match"),
        ('{"a": "x"}', {"properties": {"a": {"pattern": r"(?<x"}}}, None),
        ('{"a": "no date"}', {"properties": {"a": {"format": "date"}}}, None),
        ('{"a": 1}', {"properties": {"a": {"$ref": "https://example.org/x"}}}, None),
        ('{"a": 1}', {"properties": {"a": {"type": "strng"}}}, None),
        ('{"a": 1}', {"type": "object", "required": True}, None),
    ],
)
def test_json(text: str, schema: dict[str, Any], problem: str | None) -> None:
    found = json_problem(text, schema, is_object=True)
    assert found is None if problem is None else problem in (found or "")


def test_json_of_any_kind() -> None:
    assert json_problem("[1]", None, is_object=False) is None
    assert json_problem("[1]", {"type": "array"}, is_object=False) is None
    assert json_problem("[1]", None, is_object=True) == "not a JSON object"


def test_text() -> None:
    grammar = text_body(TextInput(regex=r"\d{3}é?"), "it").grammar
    assert text_problem("123é", grammar) is None
    assert text_problem("12", grammar) == "ends before its grammar does"
    assert text_problem("12a", grammar) == "does not match its grammar from byte 2 on"
    assert text_problem("\ud800", grammar) == "does not match its grammar from byte 0 on"


def test_a_pattern_that_backtracks_does_not_hang() -> None:
    schema = {"properties": {"a": {"pattern": "^(x+x+)+y$"}}}
    assert "does not match" in (json_problem('{"a": "' + "x" * 5000 + '"}', schema, is_object=True) or "")
