"""Activations, weights and caches: what they accept, and how dense weights are packed."""

import numpy as np
import pytest

from ossia.kernels.tensors import Activation, KVLayer, Matrix, bf16_to_f32, f32_to_bf16, pack_matrix


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_an_empty_activation_is_whole_and_zero(numerics):
    a = Activation.empty(3, 64, numerics)
    assert (a.rows, a.width) == (3, 64)
    assert not a.to_float().any()
    assert a.head(2).rows == 2
    assert np.shares_memory(a.head(2).data, a.data)


def test_widths_are_multiples_of_32():
    with pytest.raises(AssertionError, match="multiple of 32"):
        Activation.empty(1, 48, "q8")
    with pytest.raises(AssertionError, match="multiple of 32"):
        Matrix("f32", np.zeros((1, 2, 40), np.float32))


@pytest.mark.parametrize(
    ("kind", "data", "scales"),
    [
        ("mxfp4", np.zeros((1, 2, 1, 16), np.int8), np.zeros((1, 2, 1), np.uint8)),
        ("mxfp4", np.zeros((1, 2, 1, 16), np.uint8), None),
        ("mxfp4", np.zeros((1, 2, 1, 16), np.uint8), np.zeros((1, 2, 2), np.uint8)),
        ("q8", np.zeros((1, 2, 32), np.int8), np.zeros((1, 2, 1), np.float64)),
        ("f32", np.zeros((1, 2, 32), np.float32), np.zeros((1, 2, 1), np.float32)),
        ("bf16", np.zeros((1, 2, 64), np.uint16)[:, :, ::2], None),
        ("q4", np.zeros((1, 2, 32), np.int8), None),
    ],
)
def test_a_matrix_checks_its_arrays(kind, data, scales):
    with pytest.raises(AssertionError):
        Matrix(kind, data, scales)


def test_a_kv_layer_checks_its_arrays():
    with pytest.raises(AssertionError, match="uint16, float32 or int8"):
        KVLayer(np.zeros((1, 1, 16, 64)), np.zeros((1, 1, 64, 16)))
    with pytest.raises(AssertionError, match="64"):
        KVLayer(np.zeros((1, 1, 16, 32), np.float32), np.zeros((1, 1, 32, 16), np.float32))
    with pytest.raises(AssertionError, match="v must be"):
        KVLayer(np.zeros((1, 1, 16, 64), np.float32), np.zeros((1, 1, 64, 16), np.uint16))
    with pytest.raises(AssertionError, match="v must be"):
        KVLayer(np.zeros((1, 1, 18, 64), np.int8), np.zeros((1, 1, 64, 18), np.int8))


def test_bf16_round_trip_is_exact_and_rounding_is_to_even(rng):
    x = rng.standard_normal(1000).astype(np.float32)
    once = bf16_to_f32(f32_to_bf16(x))
    np.testing.assert_array_equal(bf16_to_f32(f32_to_bf16(once)), once)
    assert (np.abs(once - x) <= 2.0**-8 * np.abs(x)).all()
    edges = np.array([0x3F808000, 0x3F818000, 0x7F800001, 0xFF800000, 0x7F7FFFFF], np.uint32).view(np.float32)
    assert f32_to_bf16(edges).tolist() == [0x3F80, 0x3F82, 0x7FC0, 0xFF80, 0x7F80]


@pytest.mark.parametrize("shape", [(5, 64), (3, 5, 64)])
def test_int8_packing_stays_within_half_a_step(shape, rng, tools):
    w = rng.standard_normal(shape).astype(np.float32)
    w.reshape(-1, 32)[1] = 0
    packed = pack_matrix(w, "q8")
    assert packed.shape == (1, *shape)[-3:]
    step = np.repeat(packed.scales, 32, axis=2)
    error = np.abs(tools.to_float64(packed) - w.reshape(packed.shape))
    assert (error <= 0.5 * step * (1 + 2.0**-15)).all()
    assert np.abs(packed.data).max() == 127


def test_packing_keeps_bf16_and_f32_as_they_are(rng):
    w = rng.standard_normal((4, 32)).astype(np.float32)
    half = f32_to_bf16(w)
    np.testing.assert_array_equal(pack_matrix(half, "bf16").data[0], half)
    np.testing.assert_array_equal(pack_matrix(w, "bf16").data[0], half)
    np.testing.assert_array_equal(pack_matrix(w, "f32").data[0], w)
    np.testing.assert_array_equal(pack_matrix(half, "f32").data[0], bf16_to_f32(half))


def test_packing_refuses_weights_that_are_not_numbers():
    with pytest.raises(AssertionError, match="inf or NaN"):
        pack_matrix(np.full((1, 32), np.inf, np.float32), "q8")
