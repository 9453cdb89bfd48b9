"""Codex on the native engine: random weights over the real vocabulary, held to the frame by the grammar.

The weights know nothing, so what they call is chance; that they call at all, only what was declared and with
input that fits, is the grammar's doing. Nothing is done to the sampling, and Codex's requests are taken as
they are. Two ends are arranged, as a server or client can. Random weights would call for ever: after a few
calls one answer is asked for as a final (`tool_choice` none, a small JSON Schema, no reasoning). And a string
of theirs ends by chance, after thousands of tokens on average: an answer may take so many and no more, which
ends the session, and another is begun.
"""

import itertools
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from agents import Agent
from puppet import running
from tap import Exchange, Tap

from ossia.agent.events import Event
from ossia.agent.limits import Limits
from ossia.agent.model import Model
from ossia.bench.make import make_checkpoint
from ossia.harmony.grammar import JsonSchema
from ossia.harmony.messages import Conversation
from ossia.hub.load import load
from ossia.server.models.fixed import FixedModel
from ossia.server.operations.caller import Caller
from ossia.server.service import Service
from ossia.settings import load_settings

pytestmark = [pytest.mark.outside, pytest.mark.slow]
CALLS = 3
TOKENS = 2500  # of one answer
SESSIONS = 20
UNFED = 12
FINAL = {
    "type": "object",
    "properties": {"done": {"type": "boolean"}},
    "required": ["done"],
    "additionalProperties": False,
}


class Ending(Service):
    """A service whose answers after the first `CALLS` are finals."""

    answered = 0

    async def answer(
        self, model: Model, conversation: Conversation, caller: Caller, **options: Any
    ) -> AsyncGenerator[Event, None]:
        self.answered += 1
        options |= {"limits": Limits(tokens=TOKENS)}
        if self.answered > CALLS:
            end = {"tool_choice": "none", "response_format": JsonSchema(FINAL)}
            options |= {**end, "limits": Limits(reasoning_tokens=0)}
        async with aclosing(super().answer(model, conversation, caller, **options)) as events:
            async for event in events:
                yield event


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    settings = load_settings({"OSSIA_HOME": str(tmp_path_factory.mktemp("ossia"))})
    made = make_checkpoint("tiny", settings=settings)
    with load(str(made.path), settings=settings) as loaded:
        loaded.card = replace(loaded.card, name="openai/gpt-oss-20b")  # as `ossia launch` asks for it
        yield loaded


def tools_of(body: dict[str, Any]) -> dict[tuple[str | None, str], dict[str, Any]]:
    """The parameters of each function a request declares, by namespace and name."""
    found: dict[tuple[str | None, str], dict[str, Any]] = {}
    for tool in body["tools"]:
        inner, space = (tool["tools"], tool["name"]) if tool["type"] == "namespace" else ([tool], None)
        found |= {(space, t["name"]): t["parameters"] for t in inner if t["type"] == "function"}
    return found


def calls_of(exchange: Exchange) -> list[dict[str, Any]]:
    return [item for item in exchange.response["output"] if item["type"] == "function_call"]


def test_it_replies_to_every_call_and_only_new_tokens_are_computed(
    agent: Agent, model: Model, capsys: pytest.CaptureFixture[str]
) -> None:
    service, tap = Ending(FixedModel(model)), Tap()
    with running(service, wrap=tap) as url:
        for _ in range(SESSIONS):
            service.answered = 0
            tap.exchanges.clear()
            done = agent.launch(url, "codex", "exec", "--skip-git-repo-check", "Look around.", seconds=900)
            with capsys.disabled():
                check_session(tap.exchanges)
            if done.returncode == 0:
                break
            assert "reason: max_output_tokens" in done.stderr
    assert done.returncode == 0
    assert isinstance(json.loads(done.stdout)["done"], bool)
    assert len(tap.exchanges) == CALLS + 1
    assert not calls_of(tap.exchanges[-1])


def check_session(exchanges: list[Exchange]) -> None:
    """Every call but the one a session may break off in was valid and got its reply; prints the figures."""
    for before, after in itertools.pairwise(exchanges):
        (call,) = calls_of(before)
        name = (call.get("namespace"), call["name"])
        jsonschema.validate(json.loads(call["arguments"]), tools_of(before.body)[name])
        replies = [item for item in after.body["input"] if item["type"] == "function_call_output"]
        assert replies[-1]["call_id"] == call["call_id"]
        computed, new = costs(before, after)
        prompt = after.response["usage"]["input_tokens"]
        told = f"{prompt} tokens in the next prompt, {computed} computed, {new} new"
        print(f"\n{call['name']}: {told}", end="", flush=True)
        # The last token sampled had never been fed, nor what the grammar put behind it, to the terminator.
        assert computed <= new + UNFED


def costs(before: Exchange, after: Exchange) -> tuple[int, int]:
    """Tokens that the second prompt computed, and those it had behind the first and its answer."""
    first, second = before.response["usage"], after.response["usage"]
    computed = second["input_tokens"] - second["input_tokens_details"]["cached_tokens"]
    return computed, second["input_tokens"] - first["input_tokens"] - first["output_tokens"]
