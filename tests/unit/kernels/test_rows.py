"""The ops on whole rows: embed, rms_norm, quantize, rope_store, route, gather_rows."""

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, KVLayer, bf16_to_f32, f32_to_bf16

ISAS = cpu.available_isas()


def run(op, *args):
    p = ops.Program()
    op(p, *args)
    p.run()


def test_embed_copies_rows_exactly(rng):
    table = rng.standard_normal((50, 48)).astype(np.float32)
    ids = np.array([49, 0, 7, 7], np.int32)
    for t in (table, f32_to_bf16(table)):
        out = np.zeros((4, 48), np.float32)
        run(ops.embed, t, ids, out)
        np.testing.assert_array_equal(out, (t if t.dtype == np.float32 else bf16_to_f32(t))[ids])


@pytest.mark.parametrize("bad", [-1, 50])
def test_embed_refuses_an_id_outside_the_table(bad):
    table, out = np.zeros((50, 16), np.float32), np.zeros((1, 16), np.float32)
    with pytest.raises(AssertionError, match="embed"):
        run(ops.embed, table, np.array([bad], np.int32), out)


@pytest.mark.parametrize("isa", ISAS)
def test_rms_norm_is_within_the_derived_tolerance_of_float64(isa, rng):
    cpu.configure(isa, 1)
    x = (rng.standard_normal((9, 2880)) * 30).astype(np.float32)
    weight = rng.standard_normal(2880).astype(np.float32)
    out, normed = Activation.empty(9, 2880, "f32"), np.zeros_like(x)
    run(ops.rms_norm, x, weight, 1e-5, out, normed)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 1e-5) * weight
    relative = (
        2880 / 16 + 5
    ) / 2 + 5  # half the sum's, for the root; mean, eps, root, division, two products
    assert (np.abs(normed - expected) <= relative * 2.0**-24 * np.abs(expected)).all()
    np.testing.assert_array_equal(out.data, normed)


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_rms_norm_has_the_same_bits_everywhere(numerics, tools, rng):
    x, weight = rng.standard_normal((40, 608)).astype(np.float32), rng.standard_normal(608).astype(np.float32)

    def norm():
        out, normed = Activation.empty(40, 608, numerics), np.zeros_like(x)
        run(ops.rms_norm, x, weight, 1e-5, out, normed)
        return tuple(a for a in (out.data, out.scales, out.split, out.sums, normed) if a is not None)

    tools.under_every_plan(norm)
    single = Activation.empty(1, 608, numerics)
    run(ops.rms_norm, x[17:18], weight, 1e-5, single)
    tools.same_bits((single.data,), (norm()[0][17:18].copy(),))


def awkward_blocks(rng) -> np.ndarray:
    x = rng.standard_normal((12, 64)).astype(np.float32)
    x[1] = 0
    x[2] *= 1e-36
    x[3] *= 1e36
    x[4, 5] = np.inf
    x[5, 40] = np.nan
    x[6, :32] = 1e-42
    x[7] = np.arange(64) - 32 + 0.5
    x[8] = -x[8, 0]
    x[9, 33] = -np.inf
    x[10, 0] = 2.0**-100
    x[11] = -0.0
    return x


@pytest.mark.parametrize("isa", ISAS)
def test_int8_quantisation_is_exactly_the_contract(isa, rng):
    cpu.configure(isa, 1)
    x = awkward_blocks(rng)
    out = Activation.empty(12, 64, "q8")
    run(ops.quantize, x, out)
    blocks = x.reshape(12, 2, 32)
    amax = np.abs(blocks).max(axis=2)  # NaN and inf propagate
    usable = np.isfinite(amax) & (amax >= 2.0**-100)
    inverse = np.divide(np.float32(127), amax, out=np.zeros_like(amax), where=usable)
    q = np.rint(np.where(usable[..., None], blocks, 0) * inverse[..., None]).astype(np.int8)
    scale = np.where(usable, amax / np.float32(127), np.where(np.isfinite(amax), 0, np.nan))
    np.testing.assert_array_equal(out.data.reshape(q.shape), q)
    np.testing.assert_array_equal(out.scales, scale.astype(np.float32))
    np.testing.assert_array_equal(out.sums, q.sum(axis=2, dtype=np.int32))
    split = out.split.reshape(12, 2, 2, 16)
    np.testing.assert_array_equal(split[:, :, 0], q[:, :, 0::2])
    np.testing.assert_array_equal(split[:, :, 1], q[:, :, 1::2])


@pytest.mark.parametrize("isa", ISAS)
def test_bf16_rounds_to_nearest_even_and_keeps_nan(isa, rng):
    cpu.configure(isa, 1)
    x = awkward_blocks(rng)
    x.view(np.uint32)[0, :4] = [0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800001]
    out = Activation.empty(12, 64, "bf16")
    run(ops.quantize, x, out)
    np.testing.assert_array_equal(out.data, f32_to_bf16(x))


@pytest.mark.parametrize("isa", ISAS)
def test_rope_rotates_halves_and_stores_at_the_slot(isa, tools, rng):
    cpu.configure(isa, 1)
    heads, groups, d, slots = 4, 2, 32, np.array([130, 3, 64], np.int32)
    for kind in ("bf16", "int8", "f32"):
        kv = KVLayer.empty(3, groups, d, kind)
        qkv = rng.standard_normal((3, (heads + 2 * groups) * d)).astype(np.float32)
        angle = rng.standard_normal((3, d // 2))
        cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        before = qkv.copy().reshape(3, heads + 2 * groups, d)
        run(ops.rope_store, qkv, cos, sin, slots, kv, heads)
        first, second = before[..., : d // 2], before[..., d // 2 :]
        c, s = cos[:, None], sin[:, None]
        rotated = np.concatenate([first * c - second * s, second * c + first * s], axis=2)
        after = qkv.reshape(before.shape)
        np.testing.assert_array_equal(after[:, : heads + groups], rotated[:, : heads + groups])
        np.testing.assert_array_equal(after[:, heads + groups :], before[:, heads + groups :])
        expected = np.zeros((2, 3, groups, 64, d), np.float32)
        for t, slot in enumerate(slots):
            expected[:, slot // 64, :, slot % 64] = after[t, heads:].reshape(2, groups, d)
        expected = tools.kv_layer(*expected, kind)
        np.testing.assert_array_equal(kv.k, expected.k)
        np.testing.assert_array_equal(kv.v, expected.v)


@pytest.mark.parametrize("isa", ISAS)
def test_int8_keeps_what_is_not_finite_and_drops_what_is_next_to_nothing(isa, tools):
    cpu.configure(isa, 1)
    kv = KVLayer.empty(1, 1, 16, "int8")
    qkv = np.zeros((4, 48), np.float32)
    qkv[:, 32:] = np.arange(16)
    qkv[0, 35], qkv[1, 35], qkv[2, 32:] = np.nan, -np.inf, 2.0**-101
    angle = np.zeros((4, 8), np.float32)
    run(ops.rope_store, qkv, angle, angle, np.arange(4, dtype=np.int32), kv, 1)
    _, v = tools.kv_values(kv)
    assert np.isnan(v[0, 0, :2]).all()
    assert (v[0, 0, 2] == 0).all()
    np.testing.assert_allclose(v[0, 0, 3], np.arange(16), rtol=0, atol=15 / 127 * 0.51)


def test_rope_store_of_many_rows_is_that_of_each(tools, rng):
    """Longer tasks, as for a prompt."""
    rows, d = 130, 64
    qkv, angle = rng.standard_normal((rows, 5 * d)).astype(np.float32), rng.standard_normal((rows, d // 2))
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    slots = (np.arange(rows) + 30).astype(np.int32)

    def stored():
        whole, single = KVLayer.empty(3, 2, d, "int8"), KVLayer.empty(3, 2, d, "int8")
        run(ops.rope_store, qkv.copy(), cos, sin, slots, whole, 1)
        for t in range(rows):
            row = slice(t, t + 1)
            run(ops.rope_store, qkv[row].copy(), cos[row], sin[row], slots[row], single, 1)
        tools.same_bits((whole.k, whole.v), (single.k, single.v))
        return whole.k, whole.v

    tools.under_every_plan(stored)


@pytest.mark.parametrize("bad", [-1, 64])
def test_rope_store_refuses_a_slot_outside_the_cache(bad):
    kv = KVLayer.empty(1, 1, 32, "f32")
    angle = np.zeros((1, 16), np.float32)
    with pytest.raises(AssertionError, match="slot"):
        run(ops.rope_store, np.zeros((1, 96), np.float32), angle, angle, np.array([bad], np.int32), kv, 1)


def choose(x, router, bias, k):
    ids, weights = np.full((len(x), k), -9, np.int32), np.zeros((len(x), k), np.float32)
    run(ops.route, x, router, bias, k, ids, weights)
    return ids, weights


@pytest.mark.parametrize("isa", ISAS)
def test_route_takes_the_best_and_softmaxes_over_them(isa, rng):
    cpu.configure(isa, 1)
    x, router = (
        rng.standard_normal((30, 96)).astype(np.float32),
        rng.standard_normal((8, 96)).astype(np.float32),
    )
    bias = rng.standard_normal(8).astype(np.float32)
    ids, weights = choose(x, router, bias, 3)
    logits = x.astype(np.float64) @ router.T.astype(np.float64) + bias
    np.testing.assert_array_equal(ids, np.argsort(-logits, axis=1)[:, :3])
    best = np.take_along_axis(logits, ids.astype(np.int64), axis=1)
    expected = np.exp(best - best[:, :1]) / np.exp(best - best[:, :1]).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(weights, expected, rtol=2e-5)  # 11 roundings of logits near 30 in size


@pytest.mark.parametrize("isa", ISAS)
def test_route_ties_go_to_the_lower_index(isa):
    cpu.configure(isa, 1)
    x, router = np.ones((1, 32), np.float32), np.zeros((6, 32), np.float32)
    ids, weights = choose(x, router, np.array([1, 2, 1, 2, 2, 0], np.float32), 5)
    assert ids.tolist() == [[1, 3, 4, 0, 2]]
    assert weights[0, 0] == weights[0, 1] == weights[0, 2]


@pytest.mark.parametrize("isa", ISAS)
def test_route_of_nan_still_gives_distinct_experts(isa):
    cpu.configure(isa, 1)
    ids, _ = choose(
        np.full((1, 32), np.nan, np.float32), np.ones((4, 32), np.float32), np.zeros(4, np.float32), 4
    )
    assert ids.tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("isa", ISAS)
def test_exp_is_within_one_and_a_half_units(isa):
    """Two experts with logits 0 and -z weigh 1 / (1 + e) and e / (1 + e): their ratio shows exp itself."""
    cpu.configure(isa, 1)
    z = np.linspace(0, 86, 20001, dtype=np.float32)
    x, router = np.zeros((z.size, 32), np.float32), np.zeros((2, 32), np.float32)
    x[:, 0], router[1, 0] = z, -1
    ids, weights = choose(x, router, np.zeros(2, np.float32), 2)
    assert (ids == [0, 1]).all()
    wide, expected = weights.astype(np.float64), np.exp(-z.astype(np.float64))
    relative = np.abs(wide[:, 1] / wide[:, 0] - expected) / expected
    assert relative.max() <= (3 + 2) * 2.0**-24  # 1.5 units in the last place are at most 3; two divisions


def test_route_has_the_same_bits_everywhere(tools, rng):
    x, router = (
        rng.standard_normal((70, 576)).astype(np.float32),
        rng.standard_normal((32, 576)).astype(np.float32),
    )
    bias = rng.standard_normal(32).astype(np.float32)
    tools.under_every_plan(lambda: choose(x, router, bias, 4))
    whole = choose(x, router, bias, 4)
    tools.same_bits(choose(x[33:34].copy(), router, bias, 4), tuple(a[33:34].copy() for a in whole))


def test_gather_rows_copies_and_refuses_what_is_not_there(rng):
    x, out = rng.standard_normal((5, 7)).astype(np.float32), np.zeros((3, 7), np.float32)
    run(ops.gather_rows, x, np.array([4, 0, 4], np.int32), out)
    np.testing.assert_array_equal(out, x[[4, 0, 4]])
    with pytest.raises(AssertionError, match="gather_rows"):
        run(ops.gather_rows, x, np.array([0, 5, 1], np.int32), out)
