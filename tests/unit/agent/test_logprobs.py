"""Log-probabilities go with the text their tokens became, whatever was held back on the way."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ossia.agent.events import CallDelta, Event, PreambleDelta, ReasoningDelta, TextDelta
from ossia.agent.limits import Limits
from ossia.agent.logprobs import TokenLogprob
from ossia.agent.loop import run
from ossia.backends.base import Capabilities
from ossia.model.sampling import SamplingParams, Token

ASKED = SamplingParams(logprobs=2)
FINAL = "<|channel|>final<|message|>"


class Backend:
    """Yields tokens with made-up log-probabilities: the i-th has -i / 8."""

    context_length = 8192

    def __init__(self, ids: Sequence[int], *, forced: bool = False, logprobs: bool = True) -> None:
        self.capabilities = Capabilities(masks=False, logprobs=logprobs, forced_ids=False, prefix_cache=False)
        known = [Token(i, -at / 8, ((i, -at / 8), (i + 1, -at)), None) for at, i in enumerate(ids)]
        self.tokens = [Token(i) for i in ids] if forced or not logprobs else known

    async def generate(
        self, prompt_ids: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[Token, None]:
        for token in self.tokens[:-1]:
            yield token
        yield replace(self.tokens[-1], finish="stop")

    async def close(self) -> None: ...


def events(agent: Any, ids: Sequence[int], *, backend: Backend | None = None, **options: Any) -> list[Event]:
    async def collect() -> list[Event]:
        conversation = agent.conversation()
        options.setdefault("sampling", ASKED)
        return [e async for e in run(backend or Backend(ids), agent.tok, conversation, **options)]

    return asyncio.run(collect())


def deltas(found: list[Event], kind: type[Any] = TextDelta) -> list[Any]:
    return [event for event in found if isinstance(event, kind)]


def given(found: list[Event], kind: type[Any] = TextDelta) -> list[TokenLogprob]:
    return [one for delta in deltas(found, kind) for one in delta.logprobs]


def test_each_token_comes_once_in_order_and_adds_up_to_the_text(agent: Any) -> None:
    text = "Naïve 🇰🇷 한국어 text, 日本 and more 🤷🏽."
    ids = agent.ids(FINAL + text + "<|return|>")
    body = agent.tok.encode(text)
    at = len(agent.ids(FINAL))
    found = given(events(agent, ids))
    assert b"".join(one.bytes for one in found) == text.encode()
    assert [one.logprob for one in found] == [-(at + i) / 8 for i in range(len(body))]
    assert [one.token for one in found] == [agent.tok.decode([i]) for i in body]
    assert [one.top[1][1] for one in found] == [agent.tok.decode_bytes([i + 1]) for i in body]


def test_half_a_character_waits_for_its_other_half(agent: Any) -> None:
    ids = agent.ids(FINAL) + agent.tok.encode("🦊") + agent.ids("<|return|>")
    (delta,) = deltas(events(agent, ids))
    assert delta.text == "🦊"
    assert len(delta.logprobs) == len(agent.tok.encode("🦊")) > 1


def test_a_character_that_never_finished_keeps_its_tokens(agent: Any) -> None:
    half = agent.tok.encode("🦊")[:1]
    found = events(agent, agent.ids(FINAL) + half + agent.ids("<|return|>"))
    assert [delta.text for delta in deltas(found)] == ["\ufffd"]
    assert len(given(found)) == 1


@pytest.mark.parametrize("stop", ["STOP", " STOP here", "b STOP"])
def test_tokens_of_a_stop_string_do_not_come(agent: Any, stop: str) -> None:
    text = "a b STOP here and on"
    ids = agent.ids(FINAL + text + "<|return|>")
    found = events(agent, ids, stop=[stop])
    kept = text[: text.index(stop)]
    joined = b"".join(one.bytes for one in given(found)).decode()
    assert "".join(delta.text for delta in deltas(found)) == kept
    # The last token may reach into the stop string, and no other does.
    assert joined.startswith(kept)
    assert b"".join(one.bytes for one in given(found)[:-1]).decode() in kept


def test_what_was_held_for_a_stop_string_in_vain_keeps_its_tokens(agent: Any) -> None:
    text = "one STO two ST"
    found = events(agent, agent.ids(FINAL + text + "<|return|>"), stop=["STOP"])
    assert b"".join(one.bytes for one in given(found)).decode() == text


def test_thought_preamble_and_call_have_theirs(agent: Any) -> None:
    ids = agent.ids(
        "<|channel|>analysis<|message|>Let me.<|end|>"
        "<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>"
        '<|start|>assistant to=functions.f<|channel|>commentary<|message|>{"a": 1}<|call|>'
    )
    found = events(agent, ids, limits=Limits(turns=1))
    for kind, text in ((ReasoningDelta, "Let me."), (PreambleDelta, "I look."), (CallDelta, '{"a": 1}')):
        assert b"".join(one.bytes for one in given(found, kind)).decode() == text


def test_a_control_token_inside_text_is_not_text(agent: Any) -> None:
    ids = agent.ids(FINAL + "one<|constrain|> two<|return|>")
    found = given(events(agent, ids))
    assert b"".join(one.bytes for one in found) == b"one two"


def test_what_a_grammar_forced_has_probability_one(agent: Any) -> None:
    ids = agent.ids(FINAL + "yes<|return|>")
    found = given(events(agent, ids, backend=Backend(ids, forced=True)))
    assert [(one.logprob, one.top) for one in found] == [(0.0, ())] * len(agent.tok.encode("yes"))


def test_nobody_asked_or_nobody_knows(agent: Any) -> None:
    ids = agent.ids(FINAL + "yes<|return|>")
    assert given(events(agent, ids, sampling=SamplingParams())) == []
    assert given(events(agent, ids, backend=Backend(ids, logprobs=False))) == []
