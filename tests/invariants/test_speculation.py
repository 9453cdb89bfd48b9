"""With drafts and without: the same tokens, log-probabilities and logits, on the real forward pass."""

import numpy as np
import pytest

from ossia.model.sampling import SamplingParams

VOCAB = 160
SAMPLING = {
    "greedy": {"temperature": 0},
    "sampled": {"temperature": 1.0},
    "shortlist": {"temperature": 0.8, "top_p": 0.8, "top_k": 40, "min_p": 0.01},
    "penalties": {"repetition_penalty": 1.3, "presence_penalty": 0.5, "frequency_penalty": 0.4},
    "greedy penalties": {"temperature": 0, "repetition_penalty": 1.2, "frequency_penalty": 0.2},
    "bias": {"temperature": 0.7, "logit_bias": {5: 3.0, 9: -100.0, 11: 2.5}},
    "logprobs": {"temperature": 0.9, "logprobs": 3},
    "stop": {"temperature": 1.0, "stop_ids": frozenset(range(12)), "boundary_ids": frozenset({30, 31})},
}
FEW = {"logit_bias": dict.fromkeys(range(4), 30.0)}  # so few that what they say has always been said before
SAMPLING |= {"greedy, few ids": {"temperature": 0, **FEW}, "sampled, few ids": {"temperature": 1.0, **FEW}}
SETTINGS = {
    "plain": {},
    "small chunks": {"max_chunk": 5},
    "no prefix cache": {"prefix_cache": False},
    "8-bit K and V": {"kv_cache": "int8"},
    "pool too small": {"kv_bytes": 150_000, "max_batch_tokens": 40, "snapshot_every": 30},
}


class Fours:
    """A grammar: a choice among a third of the ids, then three forced ones that follow from it."""

    finished = False

    def __init__(self):
        self.ids = []

    def mask(self, out):
        out[:] = 0
        if forced := self.forced():
            out[forced[0]] = 1
        else:
            out[sum(self.ids) % 3 :: 3] = 1

    def advance(self, ids):
        self.ids += ids

    def forced(self):
        at = len(self.ids) % 4
        return [(self.ids[len(self.ids) - at] + i) % VOCAB for i in range(at, 4)] if at else []

    def rollback(self, n):
        del self.ids[len(self.ids) - n :]


def requests(kind):
    """(prompt, params) of six streams, some with a common beginning."""
    rng = np.random.default_rng(len(kind))
    stem = rng.integers(0, VOCAB, 90).tolist()
    for i in range(6):
        prompt = stem[: 15 * i] + rng.integers(0, VOCAB, 1 + 10 * (i % 2)).tolist()
        masked = {"mask": Fours()} if kind == "grammar" else SAMPLING[kind]
        yield prompt, SamplingParams(max_tokens=20 + 9 * i, seed=i, **masked)


def run(engine, kind):
    """What each stream was given: [(id, logprob, top, finish), …]."""
    tokens = {engine.submit(*request): [] for request in requests(kind)}
    while engine.has_work:
        for out in engine.step():
            tokens[out.sequence].append((out.token.id, out.token.logprob, out.token.top, out.token.finish))
    stats = engine.stats
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use, stats.running) == (0, 0, 0)
    return list(tokens.values())


@pytest.mark.parametrize("kind", [*SAMPLING, "grammar"])
def test_guesses_change_nothing(engine_of, guessing, kind):
    alone = {}
    for seed, options in enumerate(SETTINGS.values()):
        kv = options.get("kv_cache")
        if kv not in alone:
            alone[kv] = run(engine_of("q8", speculation=False, prefix_cache=False, kv_cache=kv), kind)
        expected = alone[kv]
        known = {
            tuple(prompt): [t[0] for t in tokens]
            for (prompt, _), tokens in zip(requests(kind), expected, strict=True)
        }
        engine = engine_of("q8", **options)
        guessing(engine, lambda s, known=known: known[tuple(s.prompt_ids)], right=0.8, seed=seed)
        assert run(engine, kind) == expected
        assert 0 < engine.stats.accepted_tokens < engine.stats.drafted_tokens
        assert engine.stats.preemptions > 0 or "kv_bytes" not in options or kind not in ("greedy", "sampled")


@pytest.mark.parametrize("kind", ["greedy, few ids", "sampled, few ids", "grammar"])
def test_lookups_change_nothing(engine_of, draft_freely, kind):
    expected = run(engine_of("q8", speculation=False), kind)
    engine = engine_of("q8")
    draft_freely(engine)
    assert run(engine, kind) == expected
    assert engine.stats.drafted_tokens > 0


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_logits_behind_drafts_are_the_same_bits(engine_of, guessing, numerics):
    params = SamplingParams(max_tokens=150, temperature=0)
    rows = [{}, {}]
    plain = engine_of(
        numerics, lambda s, logits: rows[0].setdefault(s.num_tokens, logits.copy()), speculation=False
    )
    drafting = engine_of(numerics, lambda s, logits: rows[1].setdefault(s.num_tokens, logits.copy()))
    answers = []
    for engine in (plain, drafting):
        guessing(drafting, lambda s: answers[0], right=0.9)
        sequence = engine.submit([1, 2, 3], params)
        while engine.has_work:
            engine.step()
        answers.append(sequence.output_ids)
    assert drafting.stats.accepted_tokens > 50
    assert rows[0].keys() == rows[1].keys()
    assert all(np.array_equal(rows[0][p], rows[1][p]) for p in rows[0])


def test_what_is_cached_behind_drafts_is_what_was_accepted(engine_of, guessing):
    """The next turn resumes in blocks that rejected drafts were written to."""
    params = SamplingParams(max_tokens=100, temperature=0)
    turns = []
    for right in (None, 0.5):
        engine = engine_of("q8", speculation=right is not None, snapshot_every=10)
        if right is not None:
            answer = turns[0][0]
            guessing(engine, lambda s, answer=answer: answer, right)
        first = engine.submit([7, 8, 9], params)
        while engine.has_work:
            engine.step()
        second = engine.submit([7, 8, 9, *first.output_ids[:-1], 4], SamplingParams(max_tokens=40, seed=5))
        while engine.has_work:
            engine.step()
        turns.append((first.output_ids, second.output_ids, second.cached_tokens))
    assert turns[0] == turns[1]
    assert turns[0][2] == 3 + 99
