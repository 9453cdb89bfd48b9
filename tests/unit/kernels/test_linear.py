"""linear against float64, against scalar bit for bit, and never past the end of an array."""

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, Matrix

PAIRS = [("q8", "q8"), ("q8", "mxfp4"), ("bf16", "bf16"), ("bf16", "mxfp4"), ("f32", "f32"), ("f32", "mxfp4")]
ROWS = (1, 2, 5, 7, 13, 29)


def multiply(x, w, bias=None, out=None, accumulate=False):
    out = np.zeros((x.rows, w.shape[1]), np.float32) if out is None else out
    p = ops.Program()
    ops.linear(p, x, w, bias, out, accumulate=accumulate)
    p.run()
    return out


@pytest.mark.parametrize(("numerics", "kind"), PAIRS)
@pytest.mark.parametrize("isa", cpu.available_isas())
def test_linear_is_within_the_derived_tolerance_of_float64(isa, numerics, kind, tools, rng):
    cpu.configure(isa, 1)
    x = tools.activation(rng.standard_normal((5, 576)), numerics)
    w, bias = tools.matrix(rng, kind, 1, 37, 576), rng.standard_normal(37).astype(np.float32)
    values, weights = x.to_float().astype(np.float64), tools.to_float64(w)[0]
    terms = np.abs(values) @ np.abs(weights).T
    # roundings a term passes: one product of scales, its lane's additions, the tree, the bias
    roundings = 1 + 576 / 16 + 4 + 1
    bound = roundings * 2.0**-24 * (terms + np.abs(bias))
    assert (np.abs(multiply(x, w, bias) - (values @ weights.T + bias)) <= bound).all()


@pytest.mark.parametrize(("numerics", "kind"), PAIRS)
def test_linear_has_the_same_bits_everywhere(numerics, kind, tools, rng):
    for width in (32, 64, 96, 128, 192, 288, 576):
        for n in (1, 3, 17, 64, 75):
            w = tools.matrix(rng, kind, 1, n, width)
            x = tools.activation(rng.standard_normal((13, width)), numerics)
            bias = rng.standard_normal(n).astype(np.float32)
            tools.under_every_plan(lambda x=x, w=w, bias=bias: (multiply(x, w, bias),))


@pytest.mark.parametrize("kind", ["q8", "mxfp4"])
def test_long_rows_and_many_of_them_have_the_same_bits_everywhere(kind, tools, rng):
    """2880 wide, as gpt-oss is: tiles of every breadth, and 330 rows do not fit the cache at once."""
    w = tools.matrix(rng, kind, 1, 37, 2880)
    rows = rng.standard_normal((330, 2880))
    for count in (*range(1, 17), 26, 330):
        x = tools.activation(rows[:count], "q8")
        tools.under_every_plan(lambda x=x: (multiply(x, w),))


@pytest.mark.parametrize(("numerics", "kind"), PAIRS)
@pytest.mark.parametrize("isa", cpu.available_isas())
def test_a_row_does_not_depend_on_the_others(isa, numerics, kind, tools, rng):
    cpu.configure(isa, 1)
    w = tools.matrix(rng, kind, 1, 41, 320)
    rows = rng.standard_normal((65, 320)).astype(np.float32)
    whole = multiply(tools.activation(rows, numerics), w)
    for count in (1, 2, 3, 7, 12, 14, 64):
        for first in (0, 1, 65 - count):
            part = multiply(tools.activation(rows[first : first + count], numerics), w)
            tools.same_bits((part,), (whole[first : first + count].copy(),), f"{first}, {count}")


@pytest.mark.parametrize(("numerics", "kind"), PAIRS)
@pytest.mark.parametrize("isa", cpu.available_isas())
def test_no_kernel_reads_past_the_end(isa, numerics, kind, tools, rng):
    cpu.configure(isa, 1)
    for blocks in (1, 2, 3, 4, 5, 6, 7, 9):
        for n in (1, 2, 15, 16, 17, 33):
            w = tools.matrix(rng, kind, 1, n, 32 * blocks)
            scales = None if w.scales is None else tools.guarded(w.scales)
            fenced = Matrix(w.kind, tools.guarded(w.data), scales)
            for count in (1, 2, 3, 13):
                x = tools.activation(rng.standard_normal((count, 32 * blocks)), numerics)
                parts = [None if a is None else tools.guarded(a) for a in (x.data, x.scales, x.split, x.sums)]
                fenced_x = Activation(x.numerics, *parts)
                bias, out = (tools.guarded(np.zeros(s, np.float32)) for s in ((n,), (count, n)))
                tools.same_bits((multiply(fenced_x, fenced, bias, out),), (multiply(x, w),))


@pytest.mark.parametrize("isa", cpu.available_isas())
def test_weights_may_begin_anywhere(isa, tools, rng):
    cpu.configure(isa, 1)
    for kind, step in (("mxfp4", 1), ("q8", 1)):
        w = tools.matrix(rng, kind, 1, 19, 224)
        for count in (1, 6):
            x = tools.activation(rng.standard_normal((count, 224)), "q8")
            expected = multiply(x, w)
            for offset in range(0, 64, 7):
                scale_offset = offset if kind == "mxfp4" else offset // 4 * 4
                moved = Matrix(
                    kind, tools.shifted(w.data, offset * step), tools.shifted(w.scales, scale_offset)
                )
                tools.same_bits((multiply(x, moved),), (expected,), f"{kind} at {offset}")


@pytest.mark.parametrize("isa", cpu.available_isas())
@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_every_mxfp4_code_under_every_scale_byte(isa, numerics, tools):
    cpu.configure(isa, 1)
    codes = np.tile(np.arange(16, dtype=np.uint8), 2)
    data = np.broadcast_to(codes[0::2] | codes[1::2] << 4, (1, 256, 1, 16)).copy()
    w = Matrix("mxfp4", data, np.arange(256, dtype=np.uint8).reshape(1, 256, 1))
    factor = 127.0  # its int8 is 127 with scale 1
    with np.errstate(over="ignore"):
        expected = (factor * tools.to_float64(w)[0, :, :].T).astype(np.float32)
    expected[:, 255] = np.nan
    for rows in (np.arange(32), np.array([3])):  # gemm and gemv
        got = multiply(tools.activation(factor * np.eye(32)[rows], numerics), w)
        finite = slice(None) if numerics == "q8" else np.r_[:253, 255]  # 4 · 2^126 is past float32
        np.testing.assert_array_equal(got[:, finite], expected[rows][:, finite])


@pytest.mark.parametrize("isa", cpu.available_isas())
def test_int8_extremes_do_not_saturate(isa, tools):
    cpu.configure(isa, 1)
    for value in (-128, -127, 127):
        for sign in (-1, 1):
            w = Matrix("q8", np.full((1, 17, 64), value, np.int8), np.ones((1, 17, 2), np.float32))
            for count in (1, 5):
                x = tools.activation(np.full((count, 64), sign * 127.0), "q8")
                assert (multiply(x, w) == 64 * 127 * sign * value).all()


def test_accumulate_adds_the_finished_sum(tools, rng):
    x, w = tools.activation(rng.standard_normal((3, 64)), "q8"), tools.matrix(rng, "q8", 1, 20, 64)
    bias, before = rng.standard_normal(20).astype(np.float32), rng.standard_normal((3, 20)).astype(np.float32)
    added = multiply(x, w, bias, before.copy(), accumulate=True)
    np.testing.assert_array_equal(added, before + multiply(x, w, bias))


def test_a_weight_multiplies_only_under_its_numerics(tools, rng):
    x = tools.activation(rng.standard_normal((1, 32)), "bf16")
    with pytest.raises(AssertionError, match="does not multiply"):
        multiply(x, tools.matrix(rng, "q8", 1, 4, 32))


def test_width_and_stacking_are_checked(tools, rng):
    x = tools.activation(rng.standard_normal((1, 32)), "q8")
    with pytest.raises(AssertionError, match="differ in width"):
        multiply(x, tools.matrix(rng, "q8", 1, 4, 64))
    with pytest.raises(AssertionError, match="stacked"):
        multiply(x, tools.matrix(rng, "q8", 2, 4, 32))
