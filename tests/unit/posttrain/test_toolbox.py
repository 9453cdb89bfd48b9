"""Invented tools: their requests carry the values, their schemas fit the arguments."""

import json
from random import Random
from typing import Any

import pytest

from ossia.harmony.messages import ToolNamespace
from ossia.harmony.schema import render_namespace
from ossia.posttrain.data import toolbox
from ossia.posttrain.data.everyday import EVERYDAY, invent_tool, need
from ossia.posttrain.data.toolbox import ACTIONS, FIELDS
from ossia.posttrain.measure.cases import handwritten

COUNT = 400
_TYPES = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list}


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    right = isinstance(value, _TYPES[schema["type"]]) and (schema["type"] == "boolean") == isinstance(
        value, bool
    )
    return right and value in schema.get("enum", [value])


def test_arguments_fit_the_schema_and_required_ones_are_given() -> None:
    for seed in range(COUNT):
        rng = Random(seed)
        tool = invent_tool(rng)
        wanted = need(tool, rng)
        schema = tool.spec.parameters or {"properties": {}}
        assert json.loads(wanted.arguments) == wanted.values
        assert set(schema.get("required", ())) <= set(wanted.values) <= set(schema["properties"]), wanted
        for name, value in wanted.values.items():
            assert _fits(value, schema["properties"][name]), (name, value)


def test_every_value_that_is_no_flag_is_in_the_request() -> None:
    for seed in range(COUNT):
        rng = Random(seed)
        wanted = need(invent_tool(rng), rng)
        for value in wanted.values.values():
            if not isinstance(value, bool):
                assert toolbox.spoken(value).lower() in wanted.request.lower(), wanted


def test_the_same_seed_is_the_same_tool_and_request() -> None:
    first, second = ([need(invent_tool(rng), rng) for _ in range(30)] for rng in (Random(1), Random(1)))
    assert first == second
    assert first != [need(invent_tool(rng), rng) for rng in [Random(2)] for _ in range(30)]


def test_held_out_actions_and_fields_are_never_shown() -> None:
    secret = {key for key, field in FIELDS.items() if field.held_out}
    assert secret
    for seed in range(COUNT):
        tool = invent_tool(Random(seed))
        assert not tool.action.held_out
        assert not secret & set(tool.arguments.values())
        assert invent_tool(Random(seed), held_out=True).action.held_out


def test_specs_can_be_rendered() -> None:
    specs = tuple(invent_tool(Random(seed)).spec for seed in range(60))
    assert render_namespace(ToolNamespace("functions", "", specs)).count("type ") >= 60


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.about)
def test_actions_name_fields_that_exist(action: toolbox.Action) -> None:
    assert {*action.required, *action.optional} <= set(FIELDS)


def test_no_handwritten_tool_and_no_handwritten_request_is_among_the_generators() -> None:
    cases = handwritten()
    judged = {name for case in cases for name in case.tool_names} - {"calculator"}
    nouns = {name for entry in EVERYDAY for name in entry.action.nouns} | {
        noun for a in ACTIONS for noun in a.nouns
    }
    assert not judged & nouns
    asked = {
        message.text.lower().strip(" .?!")
        for case in cases
        for message in case.conversation.messages
        if message.role == "user"
    }
    for seed in range(COUNT):
        rng = Random(seed)
        assert need(invent_tool(rng), rng).request.lower().strip(" .?!") not in asked
