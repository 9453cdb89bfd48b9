import pytest

from ossia.agent.events import Usage
from ossia.server.responses.body import response_body, usage_body
from ossia.server.responses.request import read_request

TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def body(status="completed", more=None, **fields):
    request = read_request({"model": "m", **fields}, unseal=lambda blob: ())
    return response_body(request, "resp_1", 100, status, **(more or {}))


def test_never_null_and_always_there():
    assert body(more={"completed_at": 101}) == {
        "id": "resp_1",
        "object": "response",
        "created_at": 100,
        "completed_at": 101,
        "status": "completed",
        "model": "m",
        "output": [],
        "error": None,
        "incomplete_details": None,
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "top_logprobs": 0,
        "tool_choice": "auto",
        "truncation": "disabled",
        "background": False,
        "service_tier": "default",
        "tools": [],
        "parallel_tool_calls": True,
        "store": True,
        "metadata": {},
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "usage": None,
        "reasoning": {"effort": "medium", "summary": None},
        "safety_identifier": None,
        "user": None,
        "instructions": None,
        "previous_response_id": None,
        "conversation": None,
        "prompt_cache_key": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
    }


def test_what_was_asked_is_echoed():
    wanted = {
        "temperature": 0.5,
        "reasoning": {"effort": "xhigh", "summary": "auto"},
        "truncation": "auto",
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "user": "u",
        "top_logprobs": 2,
        "max_output_tokens": 50,
        "tool_choice": {"type": "function", "name": "f"},
        "metadata": {"a": "b"},
        "instructions": "Be kind.",
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "store": False,
        "previous_response_id": "resp_0",
        "parallel_tool_calls": False,
        "presence_penalty": 1,
    }
    told = body(tools=[TOOL], **wanted)
    assert {name: told[name] for name in wanted} == wanted


@pytest.mark.parametrize("value", ["conv_1", {"id": "conv_1"}])
def test_conversations_are_objects(value):
    assert body(conversation=value)["conversation"] == {"id": "conv_1"}


def test_tools_have_every_field():
    nested = {"type": "function", "function": {"name": "g", "description": "G."}}
    custom = {"type": "custom", "name": "c"}
    hosted = {"type": "web_search", "filters": None}
    assert body(tools=[TOOL, nested, custom, hosted])["tools"] == [
        {**TOOL, "description": None, "strict": None},
        {"type": "function", "name": "g", "description": "G.", "parameters": None, "strict": None},
        {**custom, "description": None, "format": {"type": "text"}},
        hosted,
    ]


def test_a_format_is_told_whole():
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True, "description": "D."}
    assert body(text={"format": form})["text"]["format"] == form
    told = body(text={"format": {"type": "json_schema", "schema": SCHEMA}})["text"]["format"]
    assert told == {"type": "json_schema", "name": "", "schema": SCHEMA, "strict": False, "description": None}


def test_ends():
    assert body("incomplete", {"incomplete": "max_output_tokens"})["incomplete_details"] == {
        "reason": "max_output_tokens"
    }
    assert body("failed", {"error": {"code": "c", "message": "m"}})["error"]["code"] == "c"


def test_usage():
    usage = Usage(prompt_tokens=9, cached_tokens=4, output_tokens=5, reasoning_tokens=2)
    assert usage_body(usage) == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 14,
    }
    assert body(more={"usage": usage})["usage"] == usage_body(usage)
