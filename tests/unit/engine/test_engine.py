import numpy as np
import pytest

from ossia.errors import ContextLengthError, InputError
from ossia.model.sampling import SamplingParams

GREEDY = SamplingParams(max_tokens=4, temperature=0)


def drain(engine):
    """All outputs until nothing is left to do."""
    outputs = []
    while engine.has_work:
        outputs += engine.step()
    return outputs


class Script:
    """A TokenMask: ids by position of the answer; one id is forced, several are a choice."""

    def __init__(self, *choices):
        self.choices, self.accepted = choices, []

    @property
    def finished(self):
        return len(self.accepted) == len(self.choices)

    def mask(self, out):
        out[:] = 0
        out[list(self.choices[len(self.accepted)])] = 1

    def advance(self, ids):
        for i in ids:
            assert i in self.choices[len(self.accepted)]
            self.accepted.append(i)

    def forced(self):
        ids = []
        for choice in self.choices[len(self.accepted) :]:
            if len(choice) > 1 or not choice:
                break
            ids += choice
        return ids

    def rollback(self, n):
        del self.accepted[len(self.accepted) - n :]


def test_greedy_tokens_are_the_models(toy_engine, toy_reference):
    engine, _ = toy_engine()
    sequence = engine.submit([1, 2, 3], SamplingParams(max_tokens=100, temperature=0))
    outputs = drain(engine)
    assert [out.token.id for out in outputs] == sequence.output_ids == toy_reference([1, 2, 3], 100)
    assert [out.token.finish for out in outputs] == [None] * 99 + ["length"]


def test_stops_at_a_stop_id_and_yields_it(toy_engine, toy_reference):
    answer = toy_reference([1, 2, 3], 30)
    stop = answer[10]
    engine, _ = toy_engine()
    engine.submit([1, 2, 3], SamplingParams(temperature=0, stop_ids=frozenset({stop})))
    outputs = drain(engine)
    assert [out.token.id for out in outputs] == answer[: answer.index(stop) + 1]
    assert outputs[-1].token.finish == "stop"


def test_without_max_tokens_the_answer_may_fill_the_context(toy_engine):
    engine, _ = toy_engine(context=100)
    sequence = engine.submit([1] * 40, SamplingParams(temperature=0))
    drain(engine)
    assert (sequence.num_tokens, sequence.finish) == (100, "length")


def test_a_step_is_one_forward_for_everyone(toy_engine):
    engine, toy = toy_engine()
    for i in range(5):
        engine.submit([i], GREEDY)
    assert len(engine.step()) == 5
    assert len(toy.batches) == 1
    assert toy.batches[0].logit_rows.tolist() == [0, 1, 2, 3, 4]


def test_nothing_to_do_computes_nothing(toy_engine):
    engine, toy = toy_engine()
    assert not engine.has_work
    assert engine.step() == []
    assert toy.batches == []


@pytest.mark.parametrize(
    "prompt", [[-1], [97], [3, 1 << 40], [0.5], ["a"], [[1, 2]], [[1], [2, 3]], [1 << 70]]
)
def test_prompts_that_are_not_ids_of_the_vocabulary_are_refused(toy_engine, prompt):
    engine, _ = toy_engine()
    with pytest.raises(InputError):
        engine.submit(prompt, GREEDY)
    assert not engine.has_work


def test_an_empty_prompt_is_refused(toy_engine):
    engine, _ = toy_engine()
    with pytest.raises(InputError, match="empty"):
        engine.submit([], GREEDY)


def test_a_bias_on_a_foreign_id_is_refused(toy_engine):
    engine, _ = toy_engine()
    with pytest.raises(InputError, match="logit_bias"):
        engine.submit([1], SamplingParams(logit_bias={97: 1.0}))


def test_over_the_models_context_is_refused_with_both_numbers(toy_engine):
    engine, toy = toy_engine(context=1000, full_blocks=64)
    with pytest.raises(ContextLengthError, match=r"1,001.*1,000") as caught:
        engine.submit([1] * 901, SamplingParams(max_tokens=100))
    assert (caught.value.value, caught.value.limit) == (1001, 1000)
    with pytest.raises(ContextLengthError):
        engine.submit([1] * 1000, SamplingParams())
    assert (toy.batches, engine.has_work) == ([], False)
    engine.submit([1] * 900, SamplingParams(max_tokens=100))


def test_over_the_memory_is_refused_with_both_numbers(toy_engine):
    engine, _ = toy_engine(context=1000, full_blocks=3)
    assert engine.context_length == 192
    with pytest.raises(ContextLengthError, match=r"193.*KV cache holds 192") as caught:
        engine.submit([1] * 93, SamplingParams(max_tokens=100))
    assert (caught.value.value, caught.value.limit) == (193, 192)
    engine.submit([1] * 92, SamplingParams(max_tokens=100))
    assert len(drain(engine)) == 100


def test_cancel_frees_everything_at_once(toy_engine):
    engine, _ = toy_engine(prefix_cache=False)
    running = engine.submit([1] * 100, SamplingParams(temperature=0))
    engine.step()
    assert engine.stats.full_blocks_in_use == 2
    engine.cancel(running)
    stats = engine.stats
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use, stats.running) == (0, 0, 0)
    assert (running.status, running.finish, engine.has_work) == ("finished", "cancelled", False)
    engine.cancel(running)  # again: nothing


def test_cancelling_what_waits_or_has_finished(toy_engine):
    engine, _ = toy_engine(max_sequences=1)
    first, second = engine.submit([1], GREEDY), engine.submit([2], GREEDY)
    engine.step()
    engine.cancel(second)
    drain(engine)
    engine.cancel(first)
    assert (first.finish, second.finish, second.output_ids) == ("length", "cancelled", [])


def test_the_first_token_says_how_much_of_the_prompt_was_cached(toy_engine):
    engine, _ = toy_engine()
    engine.submit(list(range(80)), GREEDY)
    drain(engine)
    engine.submit([*range(80), 1], GREEDY)
    assert [out.token.cached for out in drain(engine)] == [80, 0, 0, 0]
    assert engine.stats.cached_tokens == 80
    assert engine.stats.prompt_tokens == 161


def test_a_seed_gives_the_same_tokens_whatever_runs_beside_it(toy_engine):
    params = SamplingParams(max_tokens=40, temperature=0.9, top_p=0.9, seed=11, presence_penalty=0.5)
    alone, _ = toy_engine()
    expected = alone.submit([1, 2, 3], params)
    drain(alone)
    crowd, _ = toy_engine(full_blocks=4, max_chunk=7)
    for i in range(3):
        crowd.submit([i] * 60, SamplingParams(max_tokens=60))
    sequence = crowd.submit([1, 2, 3], params)
    drain(crowd)
    assert crowd.stats.preemptions > 0
    assert sequence.output_ids == expected.output_ids


def test_without_a_seed_answers_differ(toy_engine):
    engine, _ = toy_engine()
    pair = [engine.submit([1, 2, 3], SamplingParams(max_tokens=20)) for _ in range(2)]
    drain(engine)
    assert pair[0].output_ids != pair[1].output_ids


def test_the_mask_decides_and_forced_ids_are_not_sampled(toy_engine):
    seen = []
    engine, toy = toy_engine(observer=lambda sequence, logits: seen.append(sequence.num_tokens))
    mask = Script([10], [11], [20, 21], [12], [13], [14], [30, 31])
    sequence = engine.submit([1, 2], SamplingParams(temperature=0, mask=mask))
    outputs = drain(engine)
    ids = [out.token.id for out in outputs]
    assert ids == sequence.output_ids == mask.accepted
    assert (ids[:2], ids[3:6]) == ([10, 11], [12, 13, 14])
    assert {ids[2] in (20, 21), ids[6] in (30, 31)} == {True}
    assert outputs[-1].token.finish == "stop"
    # One step for the prompt, one for each choice: the forced ids ride along.
    assert [batch.token_ids.size for batch in toy.batches] == [2, 2, 4]
    assert seen == [2, 4, 8]


def test_forced_ids_still_obey_stop_ids_and_max_tokens(toy_engine):
    engine, _ = toy_engine()
    forced = [[i] for i in range(10, 20)]
    engine.submit([1], SamplingParams(mask=Script(*forced), stop_ids=frozenset({12})))
    assert [(o.token.id, o.token.finish) for o in drain(engine)] == [(10, None), (11, None), (12, "stop")]
    engine.submit([1], SamplingParams(mask=Script(*forced), max_tokens=2))
    assert [(o.token.id, o.token.finish) for o in drain(engine)] == [(10, None), (11, "length")]


def test_a_grammar_without_a_way_out_ends_only_its_own_request(toy_engine, toy_reference):
    engine, _ = toy_engine()
    stuck = engine.submit([1], SamplingParams(mask=Script([5, 6], []), temperature=0))
    other = engine.submit([1, 2, 3], GREEDY)
    errors = [out for out in drain(engine) if out.error is not None]
    assert [(out.sequence, out.token) for out in errors] == [(stuck, None)]
    assert "allows no token" in str(errors[0].error)
    assert stuck.status == "finished"
    assert other.output_ids == toy_reference([1, 2, 3], 4)


def test_logprobs_come_with_the_token(toy_engine):
    engine, _ = toy_engine()
    engine.submit([1], SamplingParams(max_tokens=1, temperature=0, logprobs=3))
    (out,) = drain(engine)
    assert out.token.top[0] == (out.token.id, out.token.logprob)
    assert len(out.token.top) == 3


def test_the_observer_sees_the_logits_of_every_sampled_position(toy_engine):
    rows = {}
    engine, _ = toy_engine(observer=lambda s, logits: rows.update({s.num_tokens: logits.copy()}))
    sequence = engine.submit([1, 2, 3], GREEDY)
    drain(engine)
    assert sorted(rows) == [3, 4, 5, 6]
    assert [int(np.argmax(rows[p])) for p in sorted(rows)] == sequence.output_ids


def test_a_preempted_request_goes_on_as_if_nothing_had_happened(toy_engine, toy_reference):
    engine, _ = toy_engine()
    params = SamplingParams(max_tokens=30, temperature=0, presence_penalty=0.0)
    sequence = engine.submit([1, 2, 3], params)
    other = engine.submit([4], params)
    engine.preempt(sequence)  # not running yet: nothing
    for _ in range(5):
        engine.step()
    engine.preempt(sequence)
    assert (sequence.status, sequence.num_blocks, sequence.preemptions) == ("waiting", 0, 1)
    drain(engine)
    assert sequence.output_ids == toy_reference([1, 2, 3], 30)
    assert other.output_ids == toy_reference([4], 30)
    engine.preempt(sequence)  # not any more: nothing
    assert engine.stats.preemptions == 1


def test_stats_count_what_was_done(toy_engine):
    engine, _ = toy_engine()
    engine.submit(list(range(70)), GREEDY)
    drain(engine)
    stats = engine.stats
    assert (stats.prompt_tokens, stats.computed_tokens, stats.generated_tokens) == (70, 73, 4)
    assert (stats.steps, stats.waiting, stats.running) == (4, 0, 0)
    assert stats.full_blocks_free == 64 - 2  # kept for the next turn
    assert stats.snapshots == 3  # one before the prompt's end, at it, and where the answer ended


@pytest.mark.parametrize("seed", range(8))
def test_soak_streams_are_what_each_gets_alone_and_nothing_leaks(toy_engine, toy_reference, seed):
    """Random arrivals, lengths, common prefixes and cancellations in a pool that is too small."""
    rng = np.random.default_rng(seed)
    window = int(rng.choice([1, 5, 16, 64, 100]))
    engine, _ = toy_engine(
        full_blocks=int(rng.integers(5, 9)),
        window_blocks=int(rng.integers(6, 10)),
        sliding_window=window,
        max_batch_tokens=int(rng.choice([8, 40, 200])),
        max_sequences=int(rng.integers(2, 9)),
        max_chunk=int(rng.choice([1, 7, 64, 200])),
        snapshot_every=int(rng.choice([16, 100])),
    )
    stems = [rng.integers(0, 90, 150).tolist() for _ in range(3)]
    live, done, cancelled = [], [], []
    while len(done) + len(cancelled) < 40:
        if len(live) < 12 and rng.random() < 0.5:
            prompt = stems[rng.integers(3)][: rng.integers(1, 150)] + rng.integers(0, 90, 3).tolist()
            params = SamplingParams(
                max_tokens=int(rng.integers(1, 100)), temperature=0, boundary_ids=frozenset({7, 8, 9})
            )
            live.append(engine.submit(prompt, params))
        if live and rng.random() < 0.02:
            cancelled.append(live.pop(int(rng.integers(len(live)))))
            engine.cancel(cancelled[-1])
        for out in engine.step():
            if out.token.finish:
                live.remove(out.sequence)
                done.append(out.sequence)
    for sequence in live:
        engine.cancel(sequence)
    for sequence in done:
        assert sequence.output_ids == toy_reference(
            sequence.prompt_ids, sequence.capacity - sequence.num_prompt, window
        )
    stats = engine.stats
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use) == (0, 0)
    assert stats.preemptions + stats.evictions > 0
    assert stats.cached_tokens > 0
    while engine._paging.cache.evict():
        pass
    stats = engine.stats
    assert (stats.full_blocks_free, stats.window_blocks_free) == (stats.full_blocks, stats.window_blocks)
