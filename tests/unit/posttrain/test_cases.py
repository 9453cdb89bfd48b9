"""Judging answers: what counts as well-formed and as right."""

import json

import pytest

from ossia.harmony.messages import Message
from ossia.harmony.render import render_message
from ossia.posttrain.data.scenarios import Talk
from ossia.posttrain.measure.cases import Case, handwritten, held_out, judge
from ossia.tokenizer import Tokenizer, load_o200k_harmony

CASES = {case.id: case for case in handwritten()}


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return load_o200k_harmony()


def _answer(tok: Tokenizer, *messages: Message) -> list[int]:
    """Ids as they are sampled after `<|start|>assistant`."""
    ids = [token for message in messages for token in render_message(message, tok)]
    ids = ids[1 + len(tok.encode("assistant")) :]
    return ids if messages[-1].is_call else [*ids[:-1], tok.markers.return_]


def _call(name: str, arguments: object, text: str | None = None) -> Message:
    body = json.dumps(arguments) if text is None else text
    return Message(
        "assistant",
        body,
        channel="commentary",
        recipient=f"functions.{name}",
        content_type="<|constrain|>json",
    )


THOUGHT = Message("assistant", "Let me see.", channel="analysis")
FINAL = Message("assistant", "The answer is Paris.", channel="final")


def test_there_are_at_least_sixty_prompts_of_every_kind_with_unique_ids() -> None:
    assert len(CASES) == len(handwritten()) >= 60
    kinds = [case.kind for case in CASES.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "calculator": 20, "tool": 30, "not_needed": 18, "plain": 12, "result": 6, "second_turn": 4,
    }  # fmt: skip
    for case in CASES.values():
        assert not case.tool or case.tool in case.tool_names
        assert case.conversation.messages[-1].role in ("user", "tool")


def test_a_right_calculation_may_be_written_any_way(tok: Tokenizer) -> None:
    case = CASES["calculator-01"]
    for expression, right in (
        ("48213 + 9077", True),
        ("9077+48213", True),
        ("48213 + 907", False),
        ("x", False),
    ):
        verdict = judge(case, _answer(tok, THOUGHT, _call("calculator", {"expression": expression})), tok)
        assert (verdict.well_formed, verdict.called, verdict.right) == (True, True, right), expression


def test_arguments_must_be_all_there_equal_and_no_others(tok: Tokenizer) -> None:
    case = next(case for case in CASES.values() if case.tool == "water_plant")
    good = {"plant": "Ficus", "millilitres": 250}
    for arguments, right in (
        (good, True),
        ({"plant": "the ficus", "millilitres": 250}, True),
        ({"plant": "ficus"}, False),
        ({**good, "millilitres": 25}, False),
        ({**good, "millilitres": True}, False),
        ({**good, "when": "now"}, False),
    ):
        assert judge(case, _answer(tok, THOUGHT, _call("water_plant", arguments)), tok).right is right, (
            arguments
        )


def test_malformed_answers_are_counted_as_such(tok: Tokenizer) -> None:
    case = CASES["calculator-01"]
    whole = _answer(tok, THOUGHT, _call("calculator", {"expression": "1 + 1"}))
    assert judge(case, whole, tok).well_formed
    for ids in (
        [],
        whole[:-1],
        whole[3:],
        _answer(tok, THOUGHT, _call("calculator", None, "{not json")),
        _answer(tok, THOUGHT, _call("nothing", {})),
        _answer(tok, THOUGHT, Message("assistant", "  ", channel="final")),
        _answer(tok, THOUGHT),
        [*_answer(tok, THOUGHT, FINAL)[:-1], tok.markers.end],
    ):
        assert not judge(case, ids, tok).well_formed, tok.decode(ids)


def test_an_answer_without_a_call_is_right_where_none_is_needed(tok: Tokenizer) -> None:
    case = next(case for case in CASES.values() if case.contains == ("paris",))
    found = judge(case, _answer(tok, THOUGHT, FINAL), tok)
    assert (found.well_formed, found.called, found.right) == (True, False, True)
    assert found.analysis_tokens == len(tok.encode("Let me see."))
    other = Message("assistant", "It is Rome.", channel="final")
    assert not judge(case, _answer(tok, THOUGHT, other), tok).right
    assert judge(
        CASES["not_needed-01"], _answer(tok, THOUGHT, _call("calculator", {"expression": "1"})), tok
    ).called


def test_held_out_cases_say_which_call_is_right(tok: Tokenizer) -> None:
    cases: list[Case] = held_out(30, [Talk("Q?", "A.", 0)])
    calls = [case for case in cases if case.tool]
    assert len(cases) == 30
    assert len(calls) > 10
    for case in calls:
        assert case.tool in case.tool_names
        verdict = judge(case, _answer(tok, THOUGHT, _call(case.tool, case.arguments)), tok)
        assert verdict.right, case
        assert verdict.well_formed
