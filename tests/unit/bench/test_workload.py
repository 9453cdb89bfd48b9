"""Bytes and operations of a step, against sums written out for the published 20b."""

import numpy as np
import pytest

from ossia.bench.shapes import shape_named
from ossia.bench.workload import Cost, decode_cost, expected_experts, prefill_ops
from ossia.model.config import ModelConfig

H, V, LAYERS = 2880, 201088, 24
ATTENTION = H * 5120 + 4096 * H
EXPERT = 3 * 2880 * H


@pytest.fixture
def config() -> ModelConfig:
    return shape_named("20b").config


def test_decoding_reads_each_part_once(config: ModelConfig) -> None:
    dense = LAYERS * ATTENTION + V * H
    small = 4 * (LAYERS * (32 * (H + 1) + 3 * H + 5120 + 64) + H)
    experts = 4 * LAYERS * (EXPERT * 4.25 / 8 + 4 * 3 * 2880)
    keys = 2 * 8 * 64 * 2 * LAYERS  # the token itself
    assert decode_cost(config, "q8").read_bytes == dense * 9 / 8 + small + experts + keys
    assert decode_cost(config, "bf16").read_bytes == dense * 2 + small + experts + keys
    assert decode_cost(config, "f32").read_bytes == dense * 4 + small + experts + 2 * keys
    assert decode_cost(config, "q8").read_bytes == pytest.approx(2.65e9, rel=0.01)


def test_decoding_computes_seven_billion_operations(config: ModelConfig) -> None:
    ops = 2 * (LAYERS * (ATTENTION + 32 * H + 4 * EXPERT) + V * H) + 4 * 64 * 64 * LAYERS
    assert decode_cost(config, "q8").ops == ops
    assert ops == pytest.approx(7.2e9, rel=0.01)
    assert decode_cost(config, "q8", 4).ops == 4 * ops


def test_depth_counts_every_key_in_full_layers_and_the_window_in_sliding_ones(config: ModelConfig) -> None:
    near, far = decode_cost(config, "q8"), decode_cost(config, "q8", depth=4096)
    more = 12 * (4097 - 1) + 12 * (128 - 1)
    assert far.read_bytes - near.read_bytes == more * 2 * 8 * 64 * 2
    assert far.ops - near.ops == more * 4 * 64 * 64


def test_streams_share_experts_as_chance_has_it(config: ModelConfig) -> None:
    rng = np.random.default_rng(0)
    for tokens in (1, 4, 8, 512):
        drawn = [
            len({int(e) for _ in range(tokens) for e in rng.choice(32, 4, replace=False)})
            for _ in range(300 if tokens < 100 else 3)
        ]
        assert expected_experts(config, tokens) == pytest.approx(np.mean(drawn), rel=0.02)
    one, eight = decode_cost(config, "q8"), decode_cost(config, "q8", 8)
    grown = LAYERS * (expected_experts(config, 8) - 4) * (EXPERT * 4.25 / 8 + 4 * 3 * 2880)
    assert eight.read_bytes - one.read_bytes == pytest.approx(grown + 7 * 2 * 8 * 64 * 2 * LAYERS)


def test_a_prompt_is_the_sum_of_its_tokens_with_one_head(config: ModelConfig) -> None:
    head = 2 * V * H
    tokens = sum(decode_cost(config, "q8", depth=i).ops - head for i in range(200))
    assert prefill_ops(config, 200) == pytest.approx(tokens + head)
    assert prefill_ops(config, 512) / 512 == pytest.approx(6.15e9, rel=0.01)


def test_the_slower_of_memory_and_arithmetic_decides() -> None:
    assert Cost(10, 20).seconds(bandwidth=1, peak=1) == 20
    assert Cost(10, 20).seconds(bandwidth=1, peak=10) == 10


def test_a_screened_head_is_read_by_half(config):
    head = config.vocab_size * config.hidden_size * 9 / 8

    def saved(numerics, streams):
        whole = decode_cost(config, numerics, streams).read_bytes
        return whole - decode_cost(config, numerics, streams, screened=True).read_bytes

    assert saved("q8", 1) == pytest.approx(head / 2)
    assert saved("q8", 8) == pytest.approx(head / 2)
    assert saved("q8", 9) == 0
    assert saved("bf16", 1) == 0
