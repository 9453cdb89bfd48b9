"""Packing dense weights as int8: the native op has the bits of the formula in plain numpy, everywhere."""

import numpy as np
import pytest

from ossia.kernels import _native, cpu
from ossia.kernels.tensors import Matrix, bf16_to_f32, f32_to_bf16, pack_matrix, pack_rows


def formula(w):
    """float32 (n, K) → int8 (n, K) and float32 scales (n, K/32)."""
    blocks = w.reshape(len(w), -1, 32)
    amax = np.abs(blocks).max(axis=2)
    scales = np.where(amax < 2.0**-100, np.float32(0), amax / np.float32(127)).astype(np.float32)
    inverse = np.zeros_like(amax)
    np.divide(np.float32(127), amax, out=inverse, where=scales > 0)
    return np.rint(blocks * inverse[:, :, None]).astype(np.int8).reshape(w.shape), scales


@pytest.fixture
def hard_rows(rng):
    """Rows of every size of number, halves that must round to even, and blocks at the edge of zero."""
    w = rng.standard_normal((300, 96)).astype(np.float32)
    w *= np.exp2(rng.integers(-120, 120, (300, 1))).astype(np.float32)
    w[0] = 0
    w[1, :32], w[1, 32:64], w[1, 64:] = 2.0**-100, np.nextafter(np.float32(2.0**-100), np.float32(0)), 1e-45
    w[2, :32] = np.arange(32) * np.float32(0.5)
    w[2, 31] = 127
    w[3] = -np.finfo(np.float32).max
    w[4, ::2] = -0.0
    w[5, 5] = 1e-45  # a subnormal among ordinary values
    return w


@pytest.mark.parametrize("isa", cpu.available_isas())
@pytest.mark.parametrize("stored", ["f32", "bf16"])
def test_native_packing_has_the_formulas_bits(isa, stored, hard_rows, tools):
    cpu.configure(isa, 1)
    w = hard_rows if stored == "f32" else f32_to_bf16(np.clip(hard_rows, -3e38, 3e38))
    packed = Matrix.empty(1, len(w), w.shape[1], "q8")
    assert pack_rows(tools.guarded(w), packed)
    data, scales = formula(w if stored == "f32" else bf16_to_f32(w))
    tools.same_bits((packed.data[0], packed.scales[0]), (data, scales), isa)


@pytest.mark.parametrize("isa", cpu.available_isas())
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_inf_and_nan_are_found_wherever_they_stand(isa, bad, rng):
    cpu.configure(isa, 1)
    data, scales = np.empty((2, 64), np.int8), np.empty((2, 2), np.float32)
    for at in range(128):
        w = rng.standard_normal((2, 64)).astype(np.float32)
        w.reshape(-1)[at] = bad
        assert not _native.pack_q8(w, data, scales)
        assert not _native.pack_q8(f32_to_bf16(w), data, scales)


def test_rows_are_written_where_they_belong(rng):
    w = rng.standard_normal((3, 6, 64)).astype(np.float32)
    for numerics in ("q8", "bf16", "f32"):
        whole, parts = pack_matrix(w, numerics), Matrix.empty(3, 6, 64, numerics)
        for e in range(3):
            assert pack_rows(w[e, :2], parts, e)
            assert pack_rows(w[e, 2:], parts, e, 2)
        np.testing.assert_array_equal(parts.data, whole.data)
        if numerics == "q8":
            np.testing.assert_array_equal(parts.scales, whole.scales)


def test_arrays_that_do_not_fit_are_refused():
    w, data, scales = np.zeros((2, 64), np.float32), np.zeros((2, 64), np.int8), np.zeros((2, 2), np.float32)
    with pytest.raises(AssertionError, match="pack_q8: data"):
        _native.pack_q8(w, data[:1], scales)
    with pytest.raises(AssertionError, match="pack_q8: scales"):
        _native.pack_q8(w, data, scales.astype(np.float64))
    with pytest.raises(AssertionError, match="multiple of 32"):
        _native.pack_q8(w[:, :40].copy(), data, scales)
