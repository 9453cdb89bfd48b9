"""Sampling: each step of the order alone, the distribution, and what the draw may depend on."""

import math
from collections import Counter

import numpy as np
import pytest

from ossia.errors import InputError
from ossia.model.sampling import (
    SamplingParams,
    Token,
    TokenHistory,
    candidates,
    gumbel_noise,
    log_probabilities,
    sample,
    stream_key,
)

RNG = np.random.default_rng(5)
SMALL = np.log(np.array([0.5, 0.25, 0.125, 0.0625, 0.0625], np.float32))


def draws(logits, params, n=4000, seed=1):
    return Counter(sample(logits, params, position=i, seed=seed).id for i in range(n))


def support(logits, **params):
    return set(draws(logits, SamplingParams(**params), n=500))


def chi_square(counts, p, n):
    observed = np.array([counts[i] for i in range(len(p))], float)
    expected = np.asarray(p) * n
    return float(((observed - expected) ** 2 / expected).sum())


def test_greedy_takes_the_largest_and_the_lower_id_of_a_tie():
    logits = np.array([0.0, 3.0, 3.0, 1.0], np.float32)
    assert sample(logits, SamplingParams(temperature=0), position=0, seed=0) == Token(1)


def test_draws_follow_the_softmax():
    # 50,000 draws, 63 degrees of freedom: P(chi² > 120) < 2e-5.
    logits = np.linspace(0, -5, 64).astype(np.float32)
    p = np.exp(logits.astype(float))
    counts = draws(logits, SamplingParams(), n=50_000)
    assert chi_square(counts, p / p.sum(), 50_000) < 120


def test_the_unlikely_tail_is_drawn_as_often_as_it_should_be():
    # 5,000 tokens 9 nats down hold 38% together.
    logits = np.full(5001, -9.0, np.float32)
    logits[0] = 0
    mass = 5000 * math.exp(-9)
    n = 20_000
    counts = draws(logits, SamplingParams(), n=n)
    share = mass / (1 + mass)
    assert abs(1 - counts[0] / n - share) < 5 * math.sqrt(share * (1 - share) / n)
    quarters = Counter((i - 1) // 1250 for i in counts.elements() if i)
    tail = sum(quarters.values())
    assert chi_square(quarters, [0.25] * 4, tail) < 30


def test_positions_and_seeds_are_independent():
    logits = np.zeros(8, np.float32)
    for step in [{"position": 1}, {"seed": 1}]:
        pairs = Counter()
        for i in range(20_000):
            a = sample(logits, SamplingParams(), position=i, seed=i).id
            b = sample(
                logits, SamplingParams(), position=i + step.get("position", 0), seed=i + step.get("seed", 0)
            ).id
            pairs[a * 8 + b] += 1
        assert chi_square(pairs, [1 / 64] * 64, 20_000) < 120


def test_the_noise_is_gumbel():
    e = np.exp(-gumbel_noise(stream_key(3, 7), np.arange(100_000)).astype(float))  # unit exponentials
    assert abs(e.mean() - 1) < 0.02
    assert abs(e.var() - 1) < 0.06
    assert e.min() > 0
    assert np.isfinite(e).all()


def test_the_noise_of_adjacent_ids_is_uncorrelated():
    g = gumbel_noise(stream_key(0, 0), np.arange(100_000))
    assert abs(np.corrcoef(g[:-1], g[1:])[0, 1]) < 0.02


def test_the_same_arguments_give_the_same_token():
    logits = RNG.standard_normal(1000).astype(np.float32)
    params = SamplingParams(temperature=0.8, top_p=0.9)
    a = [sample(logits, params, position=i, seed=42) for i in range(50)]
    assert a == [sample(logits.copy(), params, position=i, seed=42) for i in range(50)]
    assert a != [sample(logits, params, position=i, seed=43) for i in range(50)]


def test_logits_are_left_as_they_are():
    logits = SMALL.copy()
    history = TokenHistory([0, 1], [1, 1])
    params = SamplingParams(
        top_k=2, min_p=0.1, top_p=0.9, logit_bias={0: 5.0}, presence_penalty=1, repetition_penalty=2
    )
    sample(logits, params, position=0, seed=0, history=history)
    assert (logits == SMALL).all()


def test_temperature_sharpens_and_flattens():
    n = 20_000
    p = np.exp(SMALL.astype(float) / 2)
    assert chi_square(draws(SMALL, SamplingParams(temperature=2), n), p / p.sum(), n) < 25


@pytest.mark.parametrize("temperature", [1e-38, 1e-6, 1e-3])
def test_tiny_temperatures_are_greedy(temperature):
    assert support(SMALL, temperature=temperature) == {0}


def test_top_k_keeps_exactly_k():
    assert support(SMALL, top_k=2) == {0, 1}
    assert support(SMALL, top_k=4) == {0, 1, 2, 3}  # 3 and 4 tie: the lower id stays
    assert support(SMALL, top_k=99) == {0, 1, 2, 3, 4}


def test_top_p_keeps_the_smallest_set_that_reaches_it():
    assert support(SMALL, top_p=0.5) == {0}
    assert support(SMALL, top_p=0.51) == {0, 1}
    assert support(SMALL, top_p=0.8) == {0, 1, 2}
    assert support(SMALL, top_p=1e-9) == {0}


def test_top_p_looks_as_deep_as_it_must():
    # The likeliest token holds 1%: the nucleus reaches far beyond the first few nats.
    logits = np.zeros(3000, np.float32)
    logits[1000:] = -6.0
    kept = support(logits, top_p=0.9)
    assert max(kept) < 1000
    full = np.exp(logits.astype(float)).sum()
    assert 1000 / full > 0.9


@pytest.mark.parametrize("depth", [1.0, 3.0, 5.5, 7.5, 9.5, 12.5, 15.5, 25.0])
def test_top_p_reaches_down_to_any_depth(depth):
    logits = np.full(11, -depth, np.float32)
    logits[0] = 0
    ids, _ = candidates(logits, SamplingParams(top_p=1 - 1e-11))
    assert ids.tolist() == list(range(11))


def test_top_p_takes_as_many_of_the_equals_as_it_needs():
    logits = np.full(1001, -math.log(1000), np.float32)
    logits[0] = 0  # half of the whole
    ids, _ = candidates(logits, SamplingParams(top_p=0.75))
    assert 495 <= ids.size <= 505


def test_top_p_counts_what_top_k_left():
    # After top_k=2 the shares are 2/3 and 1/3.
    assert support(SMALL, top_k=2, top_p=0.66) == {0}
    assert support(SMALL, top_k=2, top_p=0.67) == {0, 1}


def test_min_p_is_relative_to_the_likeliest():
    assert support(SMALL, min_p=0.3) == {0, 1}
    assert support(SMALL, min_p=1.0) == {0}
    assert support(SMALL, min_p=0.2, top_p=0.9) == {0, 1, 2}  # of 7/8 kept, 0.9 needs all three


def test_logit_bias_moves_a_token():
    assert support(SMALL, logit_bias={4: 100.0}) == {4}
    assert 0 not in support(SMALL, logit_bias={0: -100.0})


def test_repetition_penalty_covers_the_prompt_and_divides_or_multiplies():
    logits = np.array([2.0, 1.5, -1.0, -1.4], np.float32)
    params = SamplingParams(temperature=0, repetition_penalty=2.0)
    assert sample(logits, params, position=0, seed=0, history=TokenHistory([0])).id == 1
    negative = np.array([-1.0, -1.5], np.float32)
    assert sample(negative, params, position=0, seed=0, history=TokenHistory([0])).id == 1


def test_presence_and_frequency_count_the_answer_only():
    logits = np.array([2.0, 1.5], np.float32)

    def greedy(history, **kw):
        return sample(logits, SamplingParams(temperature=0, **kw), position=0, seed=0, history=history).id

    assert greedy(TokenHistory([0, 0, 0]), presence_penalty=1.0) == 0
    assert greedy(TokenHistory([], [0]), presence_penalty=1.0) == 1
    assert greedy(TokenHistory([], [0]), frequency_penalty=0.4) == 0
    assert greedy(TokenHistory([], [0, 0]), frequency_penalty=0.4) == 1


class Only:
    """A mask that allows fixed ids."""

    finished = False

    def __init__(self, *ids):
        self.ids = list(ids)

    def mask(self, out):
        out[:] = 0
        out[self.ids] = 1

    def advance(self, ids): ...

    def forced(self):
        return []

    def rollback(self, n): ...


def test_the_mask_bounds_every_choice():
    assert support(SMALL, mask=Only(2, 4)) == {2, 4}
    assert sample(SMALL, SamplingParams(temperature=0, mask=Only(4)), position=0, seed=0).id == 4
    assert support(SMALL, mask=Only(4), logit_bias={0: 100.0}) == {4}


@pytest.mark.parametrize("allowed", [1, 10, 499, 500, 501, 990, 1000])
@pytest.mark.parametrize("params", [{}, {"top_p": 0.9}, {"top_k": 7}, {"min_p": 0.01}, {"temperature": 0}])
def test_a_mask_is_minus_infinity_where_it_forbids_however_much_that_is(allowed, params):
    rng = np.random.default_rng(allowed)
    logits = rng.standard_normal(1000).astype(np.float32) * 3
    before = logits.copy()
    ids = np.sort(rng.choice(1000, allowed, replace=False))
    low = np.full_like(logits, -np.inf)
    low[ids] = logits[ids]
    for seed in range(20):
        masked = sample(logits, SamplingParams(mask=Only(*ids), **params), position=3, seed=seed)
        assert masked.id in ids
        assert masked.id == sample(low, SamplingParams(**params), position=3, seed=seed).id
    assert (logits == before).all()


def test_a_mask_that_allows_nothing_is_an_error():
    with pytest.raises(InputError, match="allows no token at position 7"):
        sample(SMALL, SamplingParams(mask=Only()), position=7, seed=0)


def test_logprobs_are_of_the_raw_distribution():
    params = SamplingParams(temperature=0, logprobs=2, logit_bias={3: 50.0}, repetition_penalty=3.0)
    token = sample(SMALL, params, position=0, seed=0)
    assert token.id == 3
    assert token.logprob == pytest.approx(math.log(0.0625), abs=1e-6)
    assert [i for i, _ in token.top] == [0, 1]
    assert [x for _, x in token.top] == pytest.approx([math.log(0.5), math.log(0.25)], abs=1e-6)


def test_logprobs_zero_gives_the_chosen_one_alone():
    token = sample(SMALL, SamplingParams(temperature=0, logprobs=0), position=0, seed=0)
    assert token.logprob == pytest.approx(math.log(0.5), abs=1e-6)
    assert token.top == ()


def test_log_probabilities_sum_to_one():
    logits = (RNG.standard_normal(500) * 5).astype(np.float32)
    _, top = log_probabilities(logits, 0, 500)
    assert math.fsum(math.exp(x) for _, x in top) == pytest.approx(1, abs=1e-6)
    assert [x for _, x in top] == sorted((x for _, x in top), reverse=True)


def test_nan_logits_are_our_own_fault():
    with pytest.raises(AssertionError, match="NaN logits at position 3"):
        sample(np.array([0, np.nan, 1], np.float32), SamplingParams(), position=3, seed=0)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_tokens": 0},
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": -1},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"presence_penalty": 2.1},
        {"frequency_penalty": -2.1},
        {"logprobs": -1},
        {"logprobs": 129},
        {"logit_bias": {3: 101}},
        {"logit_bias": {-1: 1}},
    ],
)
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(InputError) as e:
        SamplingParams(**bad)
    assert e.value.limit
    assert e.value.remedy


def test_a_bias_outside_the_vocabulary_is_refused():
    with pytest.raises(InputError, match="logit_bias token id is 5"):
        SamplingParams(logit_bias={5: 1.0}).check_vocabulary(5)


def test_the_generator_is_splitmix64():
    # Its published outputs for seed 1234567; a seed must mean the same in every version.
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    expected = [-math.log(-math.log1p(-(out / 2**64))) for out in outputs]
    assert gumbel_noise(1234567, np.arange(3)) == pytest.approx(expected, rel=1e-6)


def test_a_seed_gives_the_same_text_in_every_version():
    logits = np.zeros(1000, np.float32)
    drawn = [sample(logits, SamplingParams(), position=i, seed=2026).id for i in range(6)]
    assert drawn == [66, 218, 251, 353, 47, 3]


def test_what_top_p_leaves_is_drawn_as_without_it():
    rng = np.random.default_rng(0)
    logits = (3 * rng.standard_normal(500)).astype(np.float32)
    same = 0
    for i in range(200):
        free = sample(logits, SamplingParams(), position=i, seed=1).id
        kept = candidates(logits, SamplingParams(top_p=0.9))[0]
        same += free in kept
        if free in kept:
            assert sample(logits, SamplingParams(top_p=0.9), position=i, seed=1).id == free
    assert same > 150


@pytest.mark.parametrize(
    ("params", "needs"),
    [
        ({}, False),
        ({"temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.5}, False),
        ({"logit_bias": {1: 2.0}, "repetition_penalty": 2.0, "presence_penalty": 1.0}, False),
        ({"top_p": 0.9}, True),
        ({"top_k": 5}, True),
        ({"min_p": 0.1}, True),
        ({"temperature": 0, "logprobs": 0}, True),
    ],
)
def test_only_cut_distributions_and_logprobs_need_logits(params, needs):
    assert SamplingParams(**params).needs_logits == needs
