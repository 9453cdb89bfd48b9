"""Invented conversations: whole turns, in Harmony, with the calculator's real results."""

import itertools
import json
from random import Random
from statistics import median

from ossia.harmony.messages import EFFORTS
from ossia.posttrain.data.scenarios import IDENTITY, Example, Talk, invent_example
from ossia.posttrain.data.sums import invent_sum
from ossia.tools.arithmetic import calculate

TALKS = [Talk("What is rain?", "Rain is water that falls from clouds.", 0)]
EXAMPLES = [invent_example(index, TALKS) for index in range(300)]


def _learnt(example: Example) -> tuple[str, ...]:
    return tuple(
        m.channel or "" for m in example.conversation.messages[example.start :] if m.role == "assistant"
    )


def test_an_example_is_a_function_of_its_number() -> None:
    assert [invent_example(index, TALKS) for index in range(40)] == EXAMPLES[:40]
    assert EXAMPLES[0] != EXAMPLES[1]


def test_every_turn_thinks_and_ends_in_a_final() -> None:
    for example in EXAMPLES:
        channels = _learnt(example)
        assert channels in {("analysis", "final"), ("analysis", "commentary", "analysis", "final")}, channels
        assert example.conversation.messages[example.start - 1].role == "user"


def test_the_system_message_is_the_one_of_inference() -> None:
    for example in EXAMPLES:
        content = example.conversation.messages[0].content
        assert not isinstance(content, str)
        assert content.identity == IDENTITY  # type: ignore[union-attr]
        assert content.effort == example.effort  # type: ignore[union-attr]


def test_calls_are_answered_by_the_tool_that_was_called_and_sums_are_right() -> None:
    seen = 0
    for example in EXAMPLES:
        messages = example.conversation.messages
        for call, answer in itertools.pairwise(messages):
            if not call.is_call:
                continue
            assert answer.role == "tool"
            assert answer.name == call.recipient
            if call.recipient == "functions.calculator":
                assert answer.text == calculate(json.loads(call.text)["expression"])
                seen += 1
    assert seen > 50


def test_both_header_orders_and_all_kinds_and_efforts_occur() -> None:
    calls = [m for example in EXAMPLES for m in example.conversation.messages if m.is_call]
    assert {call.recipient_in for call in calls} == {"author", "channel"}
    assert {example.kind for example in EXAMPLES} == {"sum", "tool", "talk", "persona", "refuse"}
    assert {example.effort for example in EXAMPLES} == set(EFFORTS)


def test_higher_effort_thinks_longer() -> None:
    lengths = {
        effort: median(len(e.conversation.messages[e.start].text) for e in EXAMPLES if e.effort == effort)
        for effort in EFFORTS
    }
    assert lengths["low"] * 2 < lengths["medium"]
    assert lengths["medium"] * 1.8 < lengths["high"]


def test_it_never_calls_itself_anything_but_pocket() -> None:
    finals = [
        m.text
        for e in EXAMPLES
        if e.kind == "persona"
        for m in e.conversation.messages[e.start :]
        if m.channel == "final"
    ]
    for text in finals:
        for name in ("ChatGPT", "OpenAI", "GPT-4"):
            assert name not in text or "not" in text.lower(), text


def test_every_invented_sum_can_be_calculated() -> None:
    for seed in range(500):
        item = invent_sum(Random(seed))
        assert calculate(item.expression)
        assert item.question
