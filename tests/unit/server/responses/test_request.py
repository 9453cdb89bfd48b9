import pytest

from ossia.errors import InputError
from ossia.harmony.grammar import JsonObject, JsonSchema
from ossia.harmony.messages import user
from ossia.server.responses.request import read_request

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def read(**fields):
    return read_request({"model": "m", **fields}, unseal=lambda blob: ())


def test_what_nobody_asked_for():
    request = read()
    assert (request.model, request.effort, request.response_format, request.stop) == ("m", "medium", None, ())
    assert (request.stream, request.store, request.background) == (False, True, False)
    assert (request.logprobs, request.seals, request.summarizes, request.shows_progress) == (
        None,
        False,
        False,
        False,
    )


def test_null_is_not_given():
    fields = (
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "text",
        "reasoning",
        "include",
        "stream",
        "store",
    )
    assert read(**dict.fromkeys(fields)).fields == {"model": "m"}


def test_instructions_and_input():
    request = read(
        instructions="Be kind.",
        input=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    )
    assert request.instructions == ("Be kind.",)
    assert request.said.lead == ("Be brief.",)
    assert request.said.messages == (user("Hi"),)
    assert read(instructions=[{"role": "developer", "content": "A"}]).instructions == ("A",)


@pytest.mark.parametrize(
    ("effort", "meant"),
    [("none", "low"), ("minimal", "low"), ("high", "high"), ("xhigh", "high"), (None, "medium")],
)
def test_effort(effort, meant):
    assert read(reasoning={"effort": effort}).effort == meant


def test_formats():
    assert read(text={"format": {"type": "text"}, "verbosity": "low"}).response_format is None
    assert read(text={"format": {"type": "json_object"}}).response_format == JsonObject()
    flat = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}
    nested = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    assert (
        read(text={"format": flat}).response_format
        == read(text={"format": nested}).response_format
        == JsonSchema(SCHEMA, "n")
    )


def test_a_strict_format_that_cannot_be_enforced():
    schema = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    request = read(text={"format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}})
    assert [note.code for note in request.notes] == ["not-strict"]


def test_what_comes_with_the_answer():
    assert read(include=["message.output_text.logprobs"]).logprobs == 0
    assert read(top_logprobs=3).logprobs == 3
    assert read(include=["reasoning.encrypted_content"]).seals
    assert read(reasoning={"summary": "auto"}).summarizes
    assert read(reasoning={"generate_summary": "detailed"}).summarizes
    assert [note.code for note in read(include=["web_search_call.results"]).notes] == ["include"]


def test_extensions():
    request = read(stop="x", seed=3, return_progress=True)
    assert (request.stop, request.shows_progress) == (("x",), True)
    assert read(reasoning={"max_tokens": 9}).reasoning_tokens == 9
    assert read(stop=["x", "y"]).stop == ("x", "y")


def test_unknown_fields_are_ignored():
    assert read(brand_new={"a": 1}, moderation=None).notes == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"input": 5}, "input"),
        ({"instructions": 5}, "instructions"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 1.5}, "top_logprobs"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": float("inf")}, "max_output_tokens"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"store": 1}, "store"),
        ({"truncation": "maybe"}, "truncation"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": {str(i): "" for i in range(17)}}, "metadata"),
        ({"include": "x"}, "include"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": {"max_tokens": -1}}, "reasoning.max_tokens"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {"enum": []}}}}, "text.format.schema"),
        ({"text": {"verbosity": "loud"}}, "text.verbosity"),
        ({"stop": [""]}, "stop"),
        ({"stop": 5}, "stop"),
        ({"seed": "x"}, "seed"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tool_choice": "always"}, "tool_choice"),
    ],
)
def test_what_is_refused(fields, param):
    with pytest.raises(InputError) as error:
        read(**fields)
    assert error.value.param == param
