"""The mask of a sampling step: forced ids, the reasoning limit, answer now, rollback, and failing gently."""

import random
import re
from functools import cache
from pathlib import Path

import llguidance
import numpy as np
import pytest
from numpy.typing import NDArray

from ossia.harmony.grammar import AllowedTools, FrameRules, GrammarCompiler, JsonSchema, free_mask
from ossia.harmony.grammar.frame import Phase
from ossia.harmony.grammar.mask import FrameMask
from ossia.harmony.messages import TextInput, ToolNamespace, ToolSpec
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = load_checkpoint_tokenizer(Path(__file__).parents[3] / "golden" / "tokenizer_tiny.json")
O200K = load_o200k_harmony()
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTIONS = ToolNamespace("functions", tools=(ToolSpec("get_weather", parameters=CITY), ToolSpec("get_time")))
RULES = FrameRules((FUNCTIONS, ToolNamespace("python", "Runs code.")))
ANSWER = "<|end|><|start|>assistant<|channel|>final<|message|>"


@cache
def compiler(tok: Tokenizer = O200K) -> GrammarCompiler:
    return GrammarCompiler(tok)


def to_ids(text: str) -> list[int]:
    special = O200K.special_tokens
    ids: list[int] = []
    for part in re.split(r"(<\|\w+\|>)", text):
        ids += [special[part]] if part in special else O200K.encode(part)
    return ids


def masked(mask: FrameMask, size: int = O200K.vocab_size) -> NDArray[np.uint8]:
    out = np.full(size, 7, np.uint8)
    mask.mask(out)
    return out


def forced(mask: FrameMask) -> str:
    return O200K.decode(mask.forced())


def after(text: str, mask: FrameMask) -> FrameMask:
    """The mask once `text` was sampled, each id of it allowed."""
    for token_id in to_ids(text):
        assert masked(mask)[token_id], f"{O200K.decode([token_id])!r} of {text!r}"
        mask.advance([token_id])
    return mask


def start(rules: FrameRules = RULES, limit: int | None = None) -> FrameMask:
    return compiler().compile(rules).start(max_reasoning_tokens=limit)


def test_a_mask_is_zeros_and_ones_also_beyond_the_vocabulary() -> None:
    out = masked(start(), O200K.vocab_size + 100)
    assert set(np.unique(out)) == {0, 1}
    assert not out[O200K.vocab_size :].any()
    assert masked(free_mask(O200K), O200K.vocab_size + 100).sum() == O200K.vocab_size


def test_a_mask_may_be_smaller_than_the_vocabulary() -> None:
    mask = after("<|channel|>final<|message|>", start())
    assert masked(mask, 1000).sum() > 900
    assert masked(free_mask(O200K), 1000).sum() == 1000


def test_a_name_is_forced_in_canonical_ids() -> None:
    mask = after(" to=functions.get_w", start())
    assert forced(mask) == "eather<|channel|>commentary"
    named = start(FrameRules((FUNCTIONS,), AllowedTools(("functions.get_weather",), required=True)))
    assert after(" to", named).forced() == to_ids("=functions.get_weather<|channel|>commentary")


def test_nothing_is_forced_where_a_longer_token_could_come() -> None:
    mask = after('<|channel|>commentary to=functions.get_weather<|message|>{"', start())
    assert mask.forced() == to_ids("city")  # and not the quote: '":' is one token


def test_the_next_message_is_forced_to_begin() -> None:
    assert forced(after("<|channel|>analysis<|message|>Hm.<|end|>", start())) == "<|start|>assistant"


def test_forced_ids_may_be_taken_one_by_one_through_the_mask() -> None:
    mask = after("<|channel|>analysis<|message|>Hm.<|end|>", start())
    for token_id in to_ids("<|start|>assistant"):
        assert np.flatnonzero(masked(mask)).tolist() == [token_id]
        mask.advance([token_id])
    assert mask.failure is None


def test_finished_after_a_terminator_of_the_turn() -> None:
    for text in (
        "<|channel|>final<|message|>Yes.<|return|>",
        " to=python<|channel|>analysis<|message|>1<|call|>",
    ):
        mask = start()
        assert not mask.finished
        assert after(text, mask).finished
        assert mask.forced() == []
        mask.rollback(1)
        assert not mask.finished


def test_the_limit_closes_analysis_and_forces_the_final() -> None:
    mask = after("<|channel|>analysis<|message|> one two", start(limit=3))
    assert forced(mask) == ""
    assert not mask.closed_reasoning
    after(" three", mask)
    assert forced(mask) == ANSWER
    assert mask.closed_reasoning
    mask.advance(mask.forced())
    assert forced(mask) == ""
    assert after("Yes.<|return|>", mask).finished


def test_the_limit_counts_all_analysis_of_the_step_and_nothing_else() -> None:
    text = "<|channel|>analysis<|message|> one two<|end|><|start|>assistant"
    preamble = "<|channel|>commentary<|message|> a b c d e f<|end|><|start|>assistant"
    mask = after(f"{text}{preamble}<|channel|>analysis<|message|> three", start(limit=4))
    assert forced(mask) == ""
    assert forced(after(" four", mask)) == ANSWER


def test_with_the_limit_used_up_no_analysis_begins() -> None:
    mask = after("<|channel|>commentary<|message|>Hm.<|end|>", start(limit=0))
    mask.advance(mask.forced())
    after("<|channel|>", mask)
    assert masked(mask)[to_ids("final")[0]]
    assert masked(mask)[to_ids("comment")[0]]
    after("analysis", mask)  # the only analysis left is a built-in tool's call
    assert not masked(mask)[O200K.markers.message]
    assert after(" to=python<|message|>1<|call|>", mask).finished


def test_where_a_call_is_required_its_header_is_forced() -> None:
    weather = AllowedTools(("functions.get_weather",), required=True)
    mask = after("<|channel|>analysis<|message|> one", start(FrameRules((FUNCTIONS,), weather), limit=1))
    call = " to=functions.get_weather<|channel|>commentary <|constrain|>json<|message|>"
    assert forced(mask) == f"<|end|><|start|>assistant{call}"
    two = after("<|channel|>analysis<|message|> one", start(FrameRules((FUNCTIONS,), "required"), limit=1))
    assert forced(two) == "<|end|><|start|>assistant to=functions.get"


def test_a_text_tool_is_called_without_a_content_type_at_the_limit() -> None:
    tools = ToolNamespace("functions", tools=(ToolSpec("note", text_input=TextInput()),))
    mask = after("<|channel|>analysis<|message|> one", start(FrameRules((tools,), "required"), limit=1))
    assert forced(mask) == "<|end|><|start|>assistant to=functions.note<|channel|>commentary<|message|>"


def test_python_is_called_with_code_at_the_limit() -> None:
    rules = FrameRules((ToolNamespace("python", "Runs code."),), "required")
    mask = after("<|channel|>analysis<|message|> one", start(rules, limit=1))
    assert forced(mask) == "<|end|><|start|>assistant to=python<|channel|>analysis code<|message|>"


def test_the_response_format_holds_after_the_limit() -> None:
    form = JsonSchema({"type": "object", "properties": {"ok": {"const": 1}}, "required": ["ok"]})
    mask = after("<|channel|>analysis<|message|> one", start(FrameRules(response_format=form), limit=1))
    mask.advance(mask.forced())
    assert not masked(mask)[to_ids("Hello")[0]]
    assert after('{"ok": 1}<|return|>', mask).finished


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>final<|message|> one two three four",
        "<|channel|>commentary<|message|> one two three four",
        '<|channel|>commentary to=functions.get_weather<|message|>{"city": "one two three four',
        "<|channel|>analysis to=python code<|message|> one two three four",
    ],
)
def test_the_limit_and_answer_now_leave_other_messages_alone(text: str) -> None:
    mask = after(text, start(limit=1))
    assert forced(mask) == ""
    mask.answer_now()
    assert forced(mask) == ""
    assert masked(mask)[to_ids(" word")[0]]
    assert not mask.closed_reasoning


def test_answer_now_closes_analysis_where_it_stands() -> None:
    mask = after("<|channel|>analysis<|message|> one", start())
    mask.answer_now()
    assert forced(mask) == ANSWER
    assert mask.closed_reasoning
    assert np.flatnonzero(masked(mask)).tolist() == [O200K.markers.end]


def test_answer_now_in_a_header_takes_analysis_away() -> None:
    mask = start()
    mask.answer_now()
    after("<|channel|>", mask)
    assert not masked(mask)[to_ids("anal")[0]] or not masked(after("analysis", mask))[O200K.markers.message]
    begun = after("<|channel|>analysis", start())
    begun.answer_now()
    assert not masked(begun)[O200K.markers.message]  # python's call is left


def test_answer_now_in_a_header_that_says_analysis_closes_its_body() -> None:
    mask = after("<|channel|>analysis", start(FrameRules()))
    mask.answer_now()
    assert forced(mask) == "<|message|>"
    mask.advance(mask.forced())
    assert forced(mask) == ANSWER


def test_answer_now_in_a_preamble_ends_reasoning_after_it() -> None:
    mask = after("<|channel|>commentary<|message|>So", start())
    mask.answer_now()
    after(".<|end|><|start|>assistant<|channel|>", mask)
    assert masked(mask)[to_ids("final")[0]]
    after("analysis", mask)
    assert not masked(mask)[O200K.markers.message]


def test_analysis_cut_inside_a_character() -> None:
    ids = O200K.encode("\U0001f9a5")
    assert len(ids) > 1
    mask = after("<|channel|>analysis<|message|>", start(limit=1))
    mask.advance(ids[:1])
    assert forced(mask) == ANSWER


@pytest.mark.parametrize("seed", range(12))
def test_rollback_is_as_if_the_ids_had_not_come(seed: int) -> None:
    """At any place, over message ends and the limit: what follows is what follows in a new mask."""
    rng = random.Random(seed)
    grammar = compiler(TINY).compile(RULES if seed % 3 else FrameRules((FUNCTIONS,), "required"))
    mask = grammar.start(max_reasoning_tokens=rng.choice([None, 2, 5]))
    ids: list[int] = []
    for _ in range(60):
        if ids and (mask.finished or rng.random() < 0.3):
            n = rng.randint(1, min(len(ids), 25))
            mask.rollback(n)
            del ids[-n:]
        else:
            new = mask.forced() or [likely(masked(mask, TINY.vocab_size), rng)]
            mask.advance(new)
            ids += new
        fresh = grammar.start(max_reasoning_tokens=mask._limit)
        for token_id in ids:
            fresh.forced()
            fresh.advance([token_id])
        assert mask.failure is None
        assert fresh.forced() == mask.forced()
        assert (fresh.finished, fresh.closed_reasoning) == (mask.finished, mask.closed_reasoning)
        if not mask.finished:
            np.testing.assert_array_equal(masked(fresh, TINY.vocab_size), masked(mask, TINY.vocab_size))


def likely(allowed: NDArray[np.uint8], rng: random.Random) -> int:
    """An allowed id, one that ends the message rather often."""
    marks = TINY.markers
    ends = [i for i in (marks.end, marks.call, marks.return_) if allowed[i]]
    choices = ends if ends and rng.random() < 0.3 else np.flatnonzero(allowed).tolist()
    return rng.choice(choices)


def test_without_a_grammar_everything_may_come() -> None:
    mask = free_mask(O200K)
    after("<|channel|>thoughts to=nobody<|message|>x<|start|><|end|>", mask)
    assert forced(mask) == ""
    assert mask.failure is None
    assert after("<|call|>", mask).finished


def test_without_a_grammar_the_limit_and_answer_now_hold() -> None:
    mask = after("<|channel|>analysis<|message|> one", free_mask(O200K, max_reasoning_tokens=2))
    assert forced(mask) == ""
    after(" two", mask)
    assert forced(mask) == ANSWER
    mask.advance(mask.forced())
    assert forced(mask) == ""
    assert masked(mask).sum() == O200K.vocab_size
    later = after("<|channel|>final<|message|> one two three", free_mask(O200K))
    later.answer_now()
    assert forced(later) == ""
    again = after(
        "<|channel|>commentary<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>",
        free_mask(O200K, max_reasoning_tokens=0),
    )
    assert forced(again) == ANSWER


def test_an_id_that_was_not_allowed_ends_the_grammar_and_nothing_else() -> None:
    mask = start(limit=2)
    mask.advance(to_ids("<|message|>"))
    assert mask.failure
    assert masked(mask).sum() == O200K.vocab_size
    after("<|end|><|start|>assistant<|channel|>analysis<|message|> one two", mask)
    assert forced(mask) == ANSWER
    mask.rollback(2)
    assert forced(mask) == ""


def test_an_id_other_than_the_forced_one_ends_the_grammar() -> None:
    mask = after("<|channel|>analysis<|message|> one", start(limit=1))
    assert forced(mask) == ANSWER
    mask.advance(to_ids(" two"))
    assert mask.failure
    assert masked(mask).sum() == O200K.vocab_size or forced(mask)


def test_a_matcher_that_gives_up_ends_the_grammar_with_one_line() -> None:
    pattern = {"type": "string", "pattern": "^(a{1000}){1000}$"}  # more states than llguidance makes
    schema = {"type": "object", "properties": {"x": pattern}, "required": ["x"]}
    tools = ToolNamespace("functions", tools=(ToolSpec("f", parameters=schema),))
    mask = after('<|channel|>commentary to=functions.f<|message|>{"x": "', start(FrameRules((tools,))))
    for _ in range(40):
        mask.advance(mask.forced() or [int(np.flatnonzero(masked(mask))[-1])])
        if mask.failure:
            break
    assert mask.failure
    assert "\n" not in mask.failure
    assert masked(mask).sum() == O200K.vocab_size


def test_a_vocabulary_that_cannot_be_built_leaves_everything_allowed() -> None:
    def broken(phase: Phase) -> llguidance.LLMatcher:
        raise MemoryError("no room")

    mask = FrameMask(O200K, broken, max_reasoning_tokens=1)
    assert masked(mask).sum() == O200K.vocab_size
    assert mask.failure == "MemoryError: no room"
    assert forced(after("<|channel|>analysis<|message|> one", mask)) == ANSWER


def test_masks_of_one_grammar_do_not_disturb_each_other() -> None:
    grammar = compiler().compile(RULES)
    one, other = grammar.start(), grammar.start(max_reasoning_tokens=1)
    after("<|channel|>analysis<|message|> one", one)
    after("<|channel|>final<|message|>", other)
    assert forced(one) == ""
    after(" two<|end|>", one)
    assert forced(one) == "<|start|>assistant"
    assert after("Yes<|return|>", other).finished


@pytest.mark.parametrize(
    "begun", ["<|channel|>", "<|channel|>commentary<|message|>So.<|end|><|start|>assistant<|channel|>"]
)
def test_what_was_allowed_before_answer_now_came_is_still_accepted(begun: str) -> None:
    """The mask is written before a step is computed, and asked for forced ids after it."""
    mask = after(begun, start(FrameRules((FUNCTIONS,))))
    analysis = to_ids("analysis")
    assert masked(mask)[analysis[0]]
    mask.answer_now()
    assert forced(mask) == ""
    mask.advance(analysis)
    assert mask.failure is None
    mask.advance(mask.forced())
    assert forced(mask) == ANSWER
    assert mask.closed_reasoning


def test_answer_now_behind_a_draft_leaves_the_grammar_to_what_is_sampled() -> None:
    """A draft's masks are written id by id, and the ids taken back before anything is sampled."""
    mask = after("<|channel|>", start(FrameRules((FUNCTIONS,))))
    draft = to_ids("commentary to=functions.get_time<|message|>{}<|call|>")
    assert masked(mask)[to_ids("analysis")[0]]
    mask.advance(draft[:2])
    mask.answer_now()
    masked(mask)
    mask.rollback(2)
    mask.advance(to_ids("analysis"))
    assert mask.failure is None
    mask.advance(mask.forced())
    assert forced(mask) == ANSWER


def test_what_no_grammar_allowed_is_still_a_failure_after_answer_now() -> None:
    mask = after("<|channel|>", start(FrameRules((FUNCTIONS,))))
    mask.answer_now()
    mask.advance(to_ids("nonsense"))
    assert mask.failure is not None
