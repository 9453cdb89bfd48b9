"""Drafts never change a token: on a toy model whose tokens depend on every slot of the cache."""

import numpy as np
import pytest

from ossia.model.kv_cache import BLOCK
from ossia.model.sampling import SamplingParams

GREEDY = SamplingParams(max_tokens=100, temperature=0)


def drain(engine):
    outputs = []
    while engine.has_work:
        outputs += engine.step()
    return outputs


@pytest.fixture
def draft(guessing, toy_reference):
    """draft(engine, right, window): drafts that are right with that probability."""

    def begin(engine, right=0.7, window=16, seed=0):
        known = {}

        def answer(sequence):
            if sequence not in known:
                count = min(sequence.capacity - sequence.num_prompt, 100)
                known[sequence] = toy_reference(sequence.prompt_ids, count, window)
            return known[sequence]

        guessing(engine, answer, right, seed)

    return begin


def test_right_drafts_take_fewer_steps_for_the_same_tokens(toy_engine, toy_reference, draft):
    engine, toy = toy_engine()
    draft(engine, right=1.0)
    sequence = engine.submit([1, 2, 3], GREEDY)
    outputs = drain(engine)
    assert sequence.output_ids == toy_reference([1, 2, 3], 100)
    assert [out.token.finish for out in outputs] == [None] * 99 + ["length"]
    stats = engine.stats
    assert stats.drafted_tokens == stats.accepted_tokens > 60
    assert stats.steps == len(toy.batches) == 100 - stats.accepted_tokens
    assert stats.computed_tokens == 102


def test_wrong_drafts_cost_rows_and_change_nothing(toy_engine, toy_reference, draft):
    engine, _ = toy_engine()
    draft(engine, right=0.0)
    sequence = engine.submit([1, 2, 3], GREEDY)
    drain(engine)
    assert sequence.output_ids == toy_reference([1, 2, 3], 100)
    assert (engine.stats.accepted_tokens, engine.stats.steps, engine.stats.computed_tokens) == (0, 100, 102)


def test_logit_rows_stand_behind_the_last_known_and_each_drafted_token(toy_engine, guessing):
    engine, toy = toy_engine(max_chunk=20)
    engine.submit([5] * 10, GREEDY)
    engine.submit([6] * 30, GREEDY)
    engine.step()
    guessing(engine, lambda s: [1] * 200, right=1.0, seed=3)
    engine.step()
    batch, drafted = toy.batches[-1], [int(sum(toy.batches[-1].rows == i)) for i in range(2)]
    assert engine.stats.drafted_tokens == sum(drafted) - 1 - 10 > 0
    rows = [*range(drafted[0]), *range(drafted[0] + 10 - 1, sum(drafted))]
    assert batch.logit_rows.tolist() == rows
    assert batch.positions.tolist() == [*range(10, 10 + drafted[0]), *range(20, 20 + drafted[1])]


def test_a_stop_id_inside_a_draft_ends_the_answer_there(toy_engine, toy_reference, draft):
    answer = toy_reference([1, 2, 3], 40)
    stop = next(i for n, i in enumerate(answer) if n > 8 and i not in answer[:n])
    for seed in range(5):
        engine, _ = toy_engine()
        draft(engine, right=1.0, seed=seed)
        engine.submit([1, 2, 3], SamplingParams(temperature=0, stop_ids=frozenset({stop})))
        outputs = drain(engine)
        assert [o.token.id for o in outputs] == answer[: answer.index(stop) + 1]
        assert outputs[-1].token.finish == "stop"
        # As without drafts, what was computed before the stop id can be resumed without it.
        engine.submit([1, 2, 3, *answer[: answer.index(stop)], 96, 96], SamplingParams(max_tokens=1))
        assert drain(engine)[0].token.cached == 3 + answer.index(stop)


def test_a_grammars_forced_ids_count_as_agreeing(toy_engine, guessing):
    class Script:
        """Any of two ids, then 50, 51, 52 forced, and so on."""

        finished = False

        def __init__(self):
            self.ids = []

        def mask(self, out):
            out[:] = 0
            out[self.forced()[:1] or [20, 21]] = 1

        def advance(self, ids):
            self.ids += ids

        def forced(self):
            at = len(self.ids) % 4
            return [50, 51, 52][at - 1 :] if at else []

        def rollback(self, n):
            del self.ids[len(self.ids) - n :]

    def run(right):
        engine, toy = toy_engine()
        mask = Script()
        if right is not None:
            guessing(engine, lambda s: expected, right)
        sequence = engine.submit([1, 2], SamplingParams(max_tokens=64, seed=3, mask=mask))
        drain(engine)
        assert mask.ids == sequence.output_ids
        return sequence.output_ids, len(toy.batches)

    expected, steps = run(None)
    for right in (0.0, 0.6, 1.0):
        ids, took = run(right)
        assert ids == expected
        assert took <= steps == 16
    assert took < 12


def test_an_error_behind_an_accepted_token_comes_after_it(toy_engine, guessing):
    class Stuck:
        """Two ids, then none."""

        finished = False
        accepted = 0

        def mask(self, out):
            out[:] = self.accepted < 2

        def advance(self, ids):
            self.accepted += len(ids)

        def forced(self):
            return []

        def rollback(self, n):
            self.accepted -= n

    engine, _ = toy_engine()
    params = SamplingParams(temperature=0, max_tokens=30, mask=Stuck())
    plain = engine.submit([1, 2, 3], params)
    drain(engine)
    for seed in range(4):
        engine, _ = toy_engine()
        guessing(engine, lambda s: plain.output_ids, 1.0, seed)
        engine.submit([1, 2, 3], SamplingParams(temperature=0, max_tokens=30, mask=Stuck()))
        outputs = drain(engine)
        assert [o.token.id for o in outputs[:2]] == plain.output_ids
        assert "allows no token" in str(outputs[2].error)
        assert engine.stats.full_blocks_in_use == engine.stats.running == 0


def test_a_draft_takes_no_block_from_the_prefix_cache(toy_engine, draft):
    engine, _ = toy_engine(full_blocks=3)
    engine.submit([7] * 70, SamplingParams(max_tokens=1))
    drain(engine)
    assert engine.stats.full_blocks_free == 1
    draft(engine, right=1.0)
    engine.submit([1] * (BLOCK - 1), SamplingParams(max_tokens=40, temperature=0))
    while engine.stats.evictions == 0:
        before = engine.stats
        engine.step()
    assert before.generated_tokens >= 2  # it filled its block first
    drain(engine)


@pytest.mark.parametrize("seed", range(4))
def test_soak_with_drafts_in_a_pool_that_is_too_small(toy_engine, toy_reference, draft, seed):
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
        prefix_cache=bool(seed % 3),
    )
    draft(engine, right=float(rng.choice([0.3, 0.8, 1.0])), window=window, seed=seed)
    stems = [rng.integers(0, 90, 150).tolist() for _ in range(3)]
    live, done = [], []
    while len(done) < 12:
        if len(live) < 10 and rng.random() < 0.5:
            prompt = stems[rng.integers(3)][: rng.integers(1, 150)] + rng.integers(0, 90, 3).tolist()
            limit = int(rng.integers(1, 100))
            params = SamplingParams(max_tokens=limit, temperature=0, boundary_ids=frozenset({7, 8, 9}))
            live.append(engine.submit(prompt, params))
        if live and rng.random() < 0.02:
            engine.cancel(live.pop(int(rng.integers(len(live)))))
        if live and rng.random() < 0.03:
            engine.preempt(live[rng.integers(len(live))])
        for out in engine.step():
            if out.token.finish:
                live.remove(out.sequence)
                done.append(out.sequence)
    for sequence in live:
        engine.cancel(sequence)
    for sequence in done:
        count = sequence.num_tokens - sequence.num_prompt
        assert sequence.output_ids == toy_reference(sequence.prompt_ids, count, window)
    stats = engine.stats
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use, stats.running) == (0, 0, 0)
    while engine._paging.cache.evict():
        pass
    assert engine.stats.full_blocks_free == engine.stats.full_blocks
    assert engine.stats.window_blocks_free == engine.stats.window_blocks
