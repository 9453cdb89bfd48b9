"""moe against float64 and against itself: grouping, clamps, order, one token or many."""

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, Matrix

ISAS = cpu.available_isas()
LIMIT, ALPHA = 7.0, 1.702


class Case:
    def __init__(
        self, tools, rng, numerics, kind="mxfp4", tokens=20, width=96, inner=64, experts=6, top_k=3, size=1.0
    ):
        self.tools, self.numerics = tools, numerics
        self.x = tools.activation(rng.standard_normal((tokens, width)) * size, numerics)
        self.ids = np.argsort(rng.random((tokens, experts)), axis=1)[:, :top_k].astype(np.int32)
        self.weights = rng.random((tokens, top_k)).astype(np.float32)
        self.gate_up = tools.matrix(rng, kind, experts, 2 * inner, width)
        self.down = tools.matrix(rng, kind, experts, width, inner)
        self.gate_up_bias = rng.standard_normal((experts, 2 * inner)).astype(np.float32)
        self.down_bias = rng.standard_normal((experts, width)).astype(np.float32)
        self.before = rng.standard_normal((tokens, width)).astype(np.float32)

    def run(self, pick=slice(None)):
        x = self.tools.activation(self.x.to_float()[pick], self.numerics)
        ids, weights, out = (
            np.ascontiguousarray(a[pick]) for a in (self.ids, self.weights, self.before.copy())
        )
        p = ops.Program()
        ops.moe(
            p, x, ids, weights, self.gate_up, self.gate_up_bias, self.down, self.down_bias, LIMIT, ALPHA, out
        )
        p.run()
        return out

    def expected(self):
        """float64, but for the hidden row, which is quantised as an activation is."""
        gate_up, down = self.tools.to_float64(self.gate_up), self.tools.to_float64(self.down)
        x, out, size = self.x.to_float().astype(np.float64), self.before.astype(np.float64), 0.0
        for t in range(len(x)):
            for e, weight in zip(self.ids[t], self.weights[t], strict=True):
                both = gate_up[e] @ x[t] + self.gate_up_bias[e]
                gate, up = np.minimum(both[0::2], LIMIT), np.clip(both[1::2], -LIMIT, LIMIT)
                with np.errstate(over="ignore"):
                    hidden = gate / (1 + np.exp(-ALPHA * gate)) * (up + 1)
                rows = self.tools.activation(hidden[None], self.numerics).to_float().astype(np.float64)[0]
                out[t] += weight * (down[e] @ rows + self.down_bias[e])
                size = max(size, (np.abs(down[e]) @ np.abs(rows)).max(initial=0))
        return out, size


def close(case):
    expected, size = case.expected()
    # f32 sums of up to 96 terms in three places; a hidden value at a rounding edge may fall one step of
    # 1/254 (q8) or 2^-9 (bf16) the other way, on a few terms of a row
    edge = {"q8": 1 / 254, "bf16": 2.0**-9, "f32": 0}[case.numerics]
    assert np.abs(case.run() - expected).max() <= size * (edge / 8 + 64 * 2.0**-24)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
@pytest.mark.parametrize("kind", ["mxfp4", "dense"])
def test_moe_is_the_weighted_sum_of_the_chosen_experts(isa, numerics, kind, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, numerics, numerics if kind == "dense" else kind)
    close(case)


@pytest.mark.parametrize("isa", ISAS)
def test_swiglu_clamps_the_gate_above_and_the_rest_on_both_sides(isa, tools, rng):
    cpu.configure(isa, 1)
    values = [-1e4, -7.5, -7.0, 0.0, 6.9, 7.0, 7.1, 1e4]
    gates, ups = (a.ravel() for a in np.meshgrid(values, values))
    bias = np.zeros((1, 2 * gates.size), np.float32)
    bias[0, 0::2], bias[0, 1::2] = gates, ups
    none = Matrix("f32", np.zeros((1, 2 * gates.size, 32), np.float32))
    down = Matrix("f32", np.eye(gates.size, dtype=np.float32)[None])
    out = np.zeros((1, gates.size), np.float32)
    p = ops.Program()
    one, zero = np.ones((1, 1), np.float32), np.zeros((1, 1), np.int32)
    x = tools.activation(np.zeros((1, 32)), "f32")
    ops.moe(p, x, zero, one, none, bias, down, np.zeros_like(out), LIMIT, ALPHA, out)
    p.run()
    gate, up = np.minimum(gates, LIMIT), np.clip(ups, -LIMIT, LIMIT)
    with np.errstate(over="ignore"):
        expected = gate / (1 + np.exp(-ALPHA * gate)) * (up + 1)
    np.testing.assert_allclose(out[0], expected, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_moe_has_the_same_bits_everywhere(numerics, tools, rng):
    shapes = ((1, 576, 192, 8, 8), (33, 160, 96, 5, 2), (7, 32, 32, 3, 1), (40, 96, 96, 3, 2))
    for tokens, width, inner, experts, top_k in shapes:
        case = Case(tools, rng, numerics, "mxfp4", tokens, width, inner, experts, top_k, size=4)
        tools.under_every_plan(lambda case=case: (case.run(),))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_a_token_does_not_depend_on_the_others(isa, numerics, tools, rng):
    cpu.configure(isa, 1)
    case = Case(tools, rng, numerics, tokens=65, size=3)
    whole = case.run()
    for pick in (slice(0, 1), slice(3, 5), slice(10, 17), slice(0, 64), slice(None, None, -1)):
        tools.same_bits((case.run(pick),), (np.ascontiguousarray(whole[pick]),), str(pick))


def test_moe_does_not_read_past_the_weights(tools, rng):
    for isa in ISAS:
        cpu.configure(isa, 1)
        case = Case(tools, rng, "q8", tokens=5, width=160, inner=32)
        plain = case.run()
        case.gate_up, case.down = (
            Matrix(w.kind, tools.guarded(w.data), tools.guarded(w.scales)) for w in (case.gate_up, case.down)
        )
        case.gate_up_bias, case.down_bias = tools.guarded(case.gate_up_bias), tools.guarded(case.down_bias)
        tools.same_bits((case.run(),), (plain,))


@pytest.mark.parametrize("bad", [-1, 6])
def test_an_expert_that_is_not_there_is_an_error(bad, tools, rng):
    case = Case(tools, rng, "q8")
    case.ids[3, 1] = bad
    with pytest.raises(AssertionError, match="expert"):
        case.run()


def test_shapes_of_the_two_halves_must_fit(tools, rng):
    case = Case(tools, rng, "q8")
    case.down = tools.matrix(rng, "mxfp4", 6, 96, 32)
    with pytest.raises(AssertionError, match="gate_up and down"):
        case.run()


def test_no_tokens_is_no_work(tools, rng):
    case = Case(tools, rng, "q8")
    assert isinstance(case.x, Activation)
    assert case.run(slice(0, 0)).shape == (0, 96)
