"""Examples as ids: the loss covers exactly what inference would sample."""

from collections.abc import Iterable, Sequence
from random import Random

import numpy as np
import pytest

from ossia.harmony.messages import Conversation
from ossia.harmony.render import render_conversation
from ossia.posttrain.data.scenarios import Talk, invent_example
from ossia.posttrain.examples import Encoded, encode_example, encode_text, packed, talks_of
from ossia.posttrain.samples import TOP, Sample
from ossia.tokenizer import Tokenizer, load_o200k_harmony

TALKS = [Talk("What is rain?", "Rain is water.", 0)]


@pytest.fixture(scope="module")
def tok() -> Tokenizer:
    return load_o200k_harmony()


def _sample(ids: list[int], kind: str = "chat") -> Sample:
    """A sample in which the base might have stopped (id 2) at every token."""
    n = len(ids)
    top_ids = np.tile(np.arange(TOP, dtype=np.int32), (n, 1))
    top_ids[:, 0] = ids
    logprobs = np.full((n, TOP), np.log(1 / TOP), np.float16)
    return Sample(
        kind, "What is rain?", np.array([5, 6], np.int32), np.array(ids, np.int32), top_ids, logprobs
    )  # type: ignore[arg-type]


def _whole(encoded: Encoded) -> list[int]:
    """The ids with the last target put back."""
    return [*encoded.ids.tolist(), int(encoded.top_ids[-1, 0])]


def _learnt(encoded: Encoded) -> list[list[int]]:
    """The runs of ids that are learnt."""
    runs: list[list[int]] = [[]]
    for token, weight in zip(_whole(encoded)[1:], encoded.weights, strict=True):
        if weight > 0:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def test_context_is_what_inference_sees_and_the_loss_what_it_samples(tok: Tokenizer) -> None:
    marks = tok.markers
    checked = 0
    for index in range(60):
        example = invent_example(index, TALKS)
        encoded = encode_example(example, [_sample(tok.encode("no match"))], tok)
        messages = example.conversation.messages
        prompt = render_conversation(Conversation(messages[: example.start]), tok, completion=True)
        whole = _whole(encoded)
        assert whole[: len(prompt)] == prompt
        runs = _learnt(encoded)
        steps = sum(message.is_call for message in messages[example.start :]) + 1
        assert len(runs) == steps
        assert runs[-1][-1] == marks.return_
        assert all(run[-1] == marks.call for run in runs[:-1])
        assert all(run[0] == marks.channel for run in runs)
        checked += steps > 1
    assert checked > 10


def test_the_second_step_is_seen_after_the_tools_answer_as_inference_renders_it(tok: Tokenizer) -> None:
    for index in range(40):
        example = invent_example(index, TALKS)
        messages = example.conversation.messages
        calls = [at for at, m in enumerate(messages) if m.is_call and at >= example.start]
        if not calls:
            continue
        upto = Conversation(messages[: calls[0] + 2])  # the call and its answer
        prompt = render_conversation(upto, tok, completion=True)
        assert _whole(encode_example(example, [_sample([1])], tok))[: len(prompt)] == prompt
        return
    raise AssertionError("no example with a call")


def test_where_the_base_would_stop_harmony_returns(tok: Tokenizer) -> None:
    answer = tok.encode(TALKS[0].answer)
    sample = _sample([*answer, 2])
    example = next(e for e in (invent_example(i, TALKS) for i in range(200)) if e.talk)
    encoded = encode_example(example, [sample], tok)
    soft = encoded.top_probs[:, 1] > 0
    assert soft.sum() == len(answer)
    assert not np.isin(encoded.top_ids[soft], [0, 1, 2]).any()
    assert (encoded.top_ids[soft] == tok.markers.return_).any()


def test_plain_text_is_learnt_after_its_prompt_with_the_bases_probabilities() -> None:
    starts: set[int] = set()
    for seed in range(20):
        encoded = encode_text(_sample([40, 41, 42], "text"), Random(seed))
        starts.add(len(encoded.ids))
        assert [5, 6, 40, 41, 42][-len(_whole(encoded)) :] == _whole(encoded)
        assert encoded.weights.sum() == min(3, len(encoded.ids))
        learnt = encoded.top_probs[encoded.weights > 0]
        assert np.allclose(learnt, 1 / TOP, atol=1e-3)
    assert starts >= {2, 4}, "some begin with the whole prompt, some without it"


def test_unfinished_answers_and_answers_about_identity_are_no_finals() -> None:
    class Words:
        def decode(self, ids: Iterable[int]) -> str:
            return {10: "Rain falls.", 11: "I am SmolLM."}[next(iter(ids))]

    samples = [
        _sample([10, 9, 9, 9, 2]),
        _sample([10, 9, 9, 9]),
        _sample([11, 9, 9, 9, 2]),
        _sample([10, 9, 9, 2], "text"),
    ]
    found = talks_of(samples, Words(), frozenset((0, 2)))  # type: ignore[arg-type]
    assert [(talk.index, talk.answer) for talk in found] == [(0, "Rain falls.")]


def test_groups_hold_everything_once_and_stay_within_the_limit() -> None:
    def of(length: int) -> Encoded:
        return Encoded(np.zeros(length, np.int32), *(np.zeros(length, np.float32),) * 3)  # type: ignore[arg-type]

    batch = [of(length) for length in (5, 90, 30, 31, 200, 7)]
    groups = list(packed(batch, 100))
    assert sorted(id(item) for group in groups for item in group) == sorted(map(id, batch))
    for group in groups:
        widths: Sequence[int] = [len(item.ids) for item in group]
        assert len(group) == 1 or len(group) * max(widths) <= 100
