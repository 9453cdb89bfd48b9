"""openai-node against the real server: every call through the SDK, whose accumulators check the events."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from adder import SUM, THOUGHT, scripted
from puppet import NAME, running, service_of

from ossia.server.store.store import Store

pytestmark = pytest.mark.outside
Sdk = Callable[[str], Any]


@pytest.fixture
def sdk(node: Callable[..., Any], tmp_path: Path) -> Iterator[Sdk]:
    with running(service_of(scripted(), store=Store.open(tmp_path / "store.db"))) as url:
        yield lambda case: node("openai.mjs", case, url)


def test_create_and_retrieve(sdk: Sdk) -> None:
    seen = sdk("create")
    assert (seen["text"], seen["status"], seen["again"]) == ("Hello there.", "completed", "Hello there.")
    assert seen["usage"]["output_tokens_details"]["reasoning_tokens"] > 0


def test_a_stream_is_accumulated_to_what_was_stored(sdk: Sdk) -> None:
    seen = sdk("stream")
    assert seen["types"][:2] == ["response.created", "response.in_progress"]
    assert seen["types"][-1] == "response.completed"
    reasoning, call = seen["output"]
    assert reasoning["content"][0]["text"] == THOUGHT
    assert (call["name"], call["arguments"]) == ("add", '{"a": 1, "b": 2}')
    shared = [{k: v for k, v in item.items() if k != "parsed_arguments"} for item in seen["output"]]
    assert shared == seen["stored"]


def test_a_call_is_answered_by_the_previous_response(sdk: Sdk) -> None:
    seen = sdk("loop")
    assert seen["text"] == SUM
    assert seen["cached"] > 0


def test_a_call_is_answered_without_the_servers_memory(sdk: Sdk) -> None:
    seen = sdk("stateless")
    assert seen["text"] == SUM
    assert seen["first"][0]["encrypted_content"]
    assert THOUGHT not in seen["first"][0]["encrypted_content"]


def test_structured_output_is_parsed(sdk: Sdk) -> None:
    assert sdk("parse")["parsed"] == {"city": "Busan", "people": 3300000}


def test_a_background_stream_is_read_again_from_a_number(sdk: Sdk) -> None:
    seen = sdk("replay")
    assert seen["replayed"] == [event for event in seen["live"] if event["sequence_number"] > 2]
    assert seen["live"][-1]["type"] == "response.completed"


def test_a_conversation_keeps_its_items(sdk: Sdk) -> None:
    seen = sdk("conversation")
    assert seen["text"] == "Mina."
    assert seen["conversation"]["metadata"] == {"topic": "greeting"}
    assert [item["role"] for item in seen["items"] if item["type"] == "message"] == [
        "user", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert seen["gone"]["deleted"] is True


def test_a_chat_stream_calls_and_is_answered(sdk: Sdk) -> None:
    seen = sdk("chat")
    assert seen["reasoning"] == THOUGHT
    assert seen["finish_reason"] == "tool_calls"
    assert seen["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 1, "b": 2}'
    assert seen["usage"]["completion_tokens"] > 0
    assert seen["text"] == SUM


def test_the_sdks_own_tool_runner_comes_to_an_end(sdk: Sdk) -> None:
    assert sdk("chatRunner") == {"text": SUM, "calls": [[1, 2]]}


def test_models_are_listed(sdk: Sdk) -> None:
    assert NAME in sdk("models")["ids"]


def test_errors_have_the_sdks_types(node: Callable[..., Any]) -> None:
    with running(service_of(scripted(context_length=300))) as url:
        seen = node("openai.mjs", "errors", url)
    assert (seen["model"]["kind"], seen["model"]["status"]) == ("NotFoundError", 404)
    assert seen["previous"]["status"] in (400, 404)
    assert seen["retrieve"]["kind"] == "NotFoundError"
    for name in ("overflow", "overflowStream", "overflowChat"):
        error = seen[name]
        assert error["code"] == "context_length_exceeded", name
        assert "300" in error["message"], name
    assert seen["overflow"]["kind"] == seen["overflowChat"]["kind"] == "BadRequestError"
