"""Rounding to bfloat16 and MXFP4."""

import numpy as np

from ossia.hub.pocket.mxfp4 import from_mxfp4, to_mxfp4
from ossia.kernels.tensors import bf16_to_f32, f32_to_bf16

GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float64)


def test_bf16_rounds_to_nearest_with_ties_to_even() -> None:
    one = 0x3F80
    halfway, above = np.float32(1 + 2**-8), np.float32(1 + 2**-8 + 2**-20)
    values = np.array([1.0, -2.5, halfway, above, 1 + 3 * 2**-8], np.float32)
    assert f32_to_bf16(values).tolist() == [one, 0xC020, one, one + 1, one + 2]
    assert bf16_to_f32(np.array([one, 0xC020], np.uint16)).tolist() == [1.0, -2.5]


def test_mxfp4_values_survive_a_round_trip_exactly() -> None:
    rng = np.random.default_rng(1)
    signed = np.concatenate((GRID, -GRID))
    values = rng.choice(signed, (5, 4, 32))
    values[..., 0] = 6.0  # so that the block's scale is the one it was made with
    values *= 2.0 ** rng.integers(-20, 20, (5, 4, 1))
    weights = values.reshape(5, 128).astype(np.float32)
    assert np.array_equal(from_mxfp4(*to_mxfp4(weights)), weights)


def test_every_element_gets_the_nearest_value_of_its_block_and_ties_go_to_even() -> None:
    weights = np.random.default_rng(2).normal(0, 0.1, (64, 96)).astype(np.float32)
    weights[0, :8] = [6.0, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0]
    blocks, scales = to_mxfp4(weights)
    got = from_mxfp4(blocks, scales).reshape(-1, 32)
    unit = 2.0 ** (scales.reshape(-1, 1).astype(np.float64) - 127)
    best = np.abs(np.abs(weights.reshape(-1, 32, 1)) / unit[..., None] - GRID).min(axis=-1)
    assert np.allclose(np.abs(got - weights.reshape(-1, 32)) / unit, best, atol=1e-6)
    assert got[0, :8].tolist() == [6.0, 0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0]


def test_the_scale_is_the_next_one_where_the_largest_element_would_clip_above_seven() -> None:
    for amax, exponent in ((6.99, 0), (7.01, 1), (4.0, 0), (3.49, -1), (3.51, 0)):
        block = np.full((1, 32), amax, np.float32)
        assert to_mxfp4(block)[1].item() == 127 + exponent, amax


def test_low_nibble_comes_first() -> None:
    block = np.zeros((1, 32), np.float32)
    block[0, 0], block[0, 1] = 6.0, -1.0
    packed, scales = to_mxfp4(block)
    assert packed[0, 0, 0] == 0x7 | (0xA << 4)
    assert scales.item() == 127


def test_a_block_of_zeros_stays_zero() -> None:
    assert not from_mxfp4(*to_mxfp4(np.zeros((2, 64), np.float32))).any()
