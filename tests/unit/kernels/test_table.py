"""Walks the native table: every registered kernel against the scalar one of its numerics."""

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.asked import Asked
from ossia.kernels.tensors import Activation, f32_to_bf16

TOKENS, HIDDEN, HEADS, GROUPS, D, EXPERTS, TOP_K, INNER = 11, 224, 6, 2, 64, 5, 2, 96


def case(op, numerics, tools):
    """Records `op` and returns the arrays it writes."""
    rng = np.random.default_rng(7)
    p = ops.Program()
    x = rng.standard_normal((TOKENS, HIDDEN)).astype(np.float32)
    act = tools.activation(x, numerics)
    cache = rng.standard_normal((2, 3, GROUPS, 64, D)).astype(np.float32)
    kv = tools.kv_layer(*cache, {"q8": "int8"}.get(numerics, numerics))
    qkv = rng.standard_normal((TOKENS, (HEADS + 2 * GROUPS) * D)).astype(np.float32)
    positions = np.arange(TOKENS, dtype=np.int32) + 60
    out, wide = np.zeros((TOKENS, HIDDEN), np.float32), Activation.empty(TOKENS, HIDDEN, numerics)
    ids, share = np.zeros((TOKENS, TOP_K), np.int32), np.zeros((TOKENS, TOP_K), np.float32)
    if op == "embed":
        ops.embed(p, f32_to_bf16(x), np.arange(TOKENS, dtype=np.int32)[::-1].copy(), out)
        return p, (out,)
    if op == "rms_norm":
        ops.rms_norm(p, x, rng.standard_normal(HIDDEN).astype(np.float32), 1e-5, wide, out)
        return p, (wide.data, out)
    if op == "quantize":
        ops.quantize(p, x, wide)
        return p, (wide.data,)
    if op == "linear":
        ops.linear(p, act, tools.matrix(rng, numerics, 1, HIDDEN, HIDDEN), x[0].copy(), out)
        return p, (out,)
    if op == "rope_store":
        angle = rng.standard_normal((TOKENS, D // 2)).astype(np.float32)
        ops.rope_store(p, qkv, np.cos(angle), np.sin(angle), positions, kv, HEADS)
        return p, (qkv, kv.k, kv.v)
    if op == "attention":
        attended = Activation.empty(TOKENS, HEADS * D, numerics)
        table, rows = np.array([[1, 0]], np.int32), np.zeros(TOKENS, np.int32)
        ops.attention(p, qkv, kv, positions, rows, table, x[0, :HEADS].copy(), 64, 0.125, attended)
        return p, (attended.data,)
    if op == "route":
        router = rng.standard_normal((EXPERTS, HIDDEN)).astype(np.float32)
        ops.route(p, x, router, x[1, :EXPERTS].copy(), TOP_K, ids, share)
        return p, (ids, share)
    if op == "moe":
        ids[:] = np.argsort(rng.random((TOKENS, EXPERTS)), axis=1)[:, :TOP_K]
        share[:] = rng.random(share.shape)
        gate_up = tools.matrix(rng, "mxfp4", EXPERTS, 2 * INNER, HIDDEN)
        down = tools.matrix(rng, "mxfp4", EXPERTS, HIDDEN, INNER)
        biases = (np.zeros((EXPERTS, n), np.float32) for n in (2 * INNER, HIDDEN))
        ops.moe(p, act, ids, share, gate_up, next(biases), down, next(biases), 7.0, 1.702, out)
        return p, (out,)
    if op == "gather_rows":
        ops.gather_rows(p, x, np.array([3, 1], np.int32), out[:2])
        return p, (out,)
    if op == "lm_head":
        vocab = 700
        asked = Asked.empty(TOKENS, 1, vocab, 8)
        asked.temperatures[:] = np.linspace(0, 1.5, TOKENS)
        asked.keys[:] = rng.integers(0, 2**63, TOKENS)
        asked.whole[0], asked.whole[1:] = 1, 0
        asked.masks[0] = rng.random(vocab) < 0.5
        asked.mask_of[1] = 0
        asked.edit_ids[:4], asked.edit_bias[:4], asked.edit_counts[:4] = [3, 50, 300, 699], 2.5, [-1, 0, 1, 2]
        asked.edit_ends[:] = 4
        asked.penalties[:] = 1.5, 0.5, 0.25
        chosen, rescored = np.zeros(TOKENS, np.int32), np.zeros(TOKENS, np.int32)
        logits = np.zeros((TOKENS, vocab), np.float32)
        ops.lm_head(p, act, tools.matrix(rng, numerics, 1, vocab, HIDDEN), asked, chosen, rescored, logits)
        return p, (chosen, rescored, logits)
    if op == "split_planes":
        w, stats = tools.matrix(rng, "q8", 1, 300, HIDDEN), np.zeros((300, 5))
        ops.split_planes(p, w.data[0], w.scales[0], stats)
        return p, (w.data, w.scales, stats)
    if op == "gumbel":
        noise = np.zeros(1000, np.float32)
        ops.gumbel(p, 12345, rng.integers(0, 2**31, 1000), noise)
        return p, (noise,)
    raise AssertionError(f"the table holds {op}, which this test does not know: give it a case")


@pytest.mark.parametrize(("op", "numerics", "isa"), ops.kernels())
def test_every_registered_kernel_equals_scalar(op, numerics, isa, tools):
    if isa not in cpu.available_isas():
        pytest.skip(f"this CPU has no {isa}")
    results = []
    for plan in (("scalar", 1), (isa, 1), (isa, 2)):
        cpu.configure(*plan)
        p, written = case(op, numerics, tools)
        p.run()
        results.append(written)
    assert any(a.any() for a in results[0])
    for got in results[1:]:
        tools.same_bits(got, results[0], f"{op}, {numerics}, {isa}")


def test_the_table_has_no_holes():
    names = {
        "embed",
        "rms_norm",
        "quantize",
        "linear",
        "rope_store",
        "attention",
        "route",
        "moe",
        "gather_rows",
        "lm_head",
        "split_planes",
        "gumbel",
    }
    assert len(ops.kernels()) == len(set(ops.kernels()))
    for isa in cpu.available_isas():
        for numerics in ("q8", "bf16", "f32"):
            assert {o for o, n, i in ops.kernels() if (n, i) == (numerics, isa)} == names
