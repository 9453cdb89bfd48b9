"""ollama-js against the real server."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from adder import SUM, scripted
from puppet import Puppet, running, service_of

pytestmark = pytest.mark.outside
Client = Callable[[str], Any]


@pytest.fixture
def puppet() -> Puppet:
    return scripted()


@pytest.fixture
def client(node: Callable[..., Any], puppet: Puppet) -> Iterator[Client]:
    with running(service_of(puppet)) as url:
        yield lambda case: node("ollama.mjs", case, url)


def test_models_are_listed_shown_and_in_memory(client: Client) -> None:
    seen = client("models")
    assert [model["name"] for model in seen["models"]] == ["gpt-oss:20b"]
    assert seen["loaded"][0]["digest"] == seen["models"][0]["digest"]
    assert seen["shown"]["capabilities"] == ["completion", "tools", "thinking"]
    assert tuple(map(int, seen["version"].split("."))) >= (0, 13, 4)


def test_a_stream_has_thought_and_text(client: Client, puppet: Puppet) -> None:
    seen = client("stream")
    assert (seen["text"], seen["thought"]) == ("Hello there.", "A greeting.")
    assert (seen["last"]["done"], seen["last"]["done_reason"]) == (True, "stop")
    assert "Reasoning: low" in puppet.prompt_text()


def test_the_tool_loop_computes_only_what_is_new(client: Client, puppet: Puppet) -> None:
    seen = client("loop")
    first, second = puppet.prompts
    assert seen["text"] == SUM
    assert seen["cached"] == len(first)
    assert second[: len(first)] == first


def test_an_answer_satisfies_its_schema(client: Client) -> None:
    assert client("format") == {"city": "Busan", "people": 3300000}


def test_a_stream_that_is_aborted_ends_its_generation(node: Callable[..., Any]) -> None:
    puppet = scripted(seconds_per_token=1.0)
    service = service_of(puppet)
    with running(service) as url:
        node("ollama.mjs", "abort", url)
        for _ in range(300):
            if puppet.left and not service.admission.running:
                break
            time.sleep(0.01)
        assert (puppet.left, service.admission.running) == (1, 0)


def test_pull_and_a_missing_model(client: Client) -> None:
    pulled = client("pull")
    assert pulled["status"] == "success"
    assert "ossia pull" in pulled["refused"]
    missing = client("missing")
    assert missing["status"] == 404
    assert missing["message"].startswith("model 'llama3.2' not found")
