"""The AI SDK against the real server: tool loops with reasoning shown, in each of its providers."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from adder import SUM, THOUGHT, scripted
from puppet import Puppet, running, service_of

pytestmark = pytest.mark.outside
Sdk = Callable[[str], Any]
EVERY = pytest.mark.parametrize("provider", ["responses", "stateless", "chat", "open"])
REASONING = pytest.mark.parametrize("provider", ["responses", "stateless", "open"])  # its chat reads none


@pytest.fixture
def puppet() -> Puppet:
    return scripted()


@pytest.fixture
def sdk(node: Callable[..., Any], puppet: Puppet) -> Iterator[Sdk]:
    with running(service_of(puppet)) as url:
        yield lambda case: node("ai.mjs", case, url)


@EVERY
def test_a_streamed_tool_loop_ends_in_the_answer(sdk: Sdk, provider: str) -> None:
    seen = sdk(provider)
    assert seen["errors"] == []
    assert (seen["text"], seen["calls"], seen["steps"], seen["finish"]) == (SUM, [[1, 2]], 2, "stop")
    assert seen["usage"]["outputTokens"] > 0


@REASONING
def test_reasoning_is_shown_once(sdk: Sdk, provider: str) -> None:
    seen = sdk(provider)
    assert seen["reasoning"] == f"{THOUGHT}The tool says 3."


@REASONING
def test_reasoning_comes_back_in_the_tool_loop(sdk: Sdk, puppet: Puppet, provider: str) -> None:
    sdk(provider)
    assert f"<|channel|>analysis<|message|>{THOUGHT}<|end|>" in puppet.prompt_text()


@EVERY
def test_a_whole_answer_is_read(sdk: Sdk, provider: str) -> None:
    seen = sdk(f"{provider}:whole")
    assert (seen["text"], seen["calls"]) == (SUM, [[1, 2]])


@EVERY
def test_structured_output_is_an_object(sdk: Sdk, provider: str) -> None:
    assert sdk(f"{provider}:structured")["object"] == {"city": "Busan", "people": 3300000}


@EVERY
def test_an_overflow_says_both_numbers(node: Callable[..., Any], provider: str) -> None:
    with running(service_of(scripted(context_length=300))) as url:
        seen = node("ai.mjs", f"{provider}:overflow", url)
    assert seen["status"] == 400
    assert "context_length_exceeded" in seen["body"]
    assert "300" in seen["body"]
