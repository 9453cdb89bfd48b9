"""The op table: one function per native op.

Each records itself into a `Program`; nothing is computed until `run`.

Dims: T rows, H hidden, Hq/Hkv heads, D head_dim, E experts, K chosen, F intermediate, V vocab, S sequences,
B blocks. The order of every sum is fixed (csrc/ops.h): a row's bits never depend on other rows, T, chunks,
threads or the CPU. A wrong dtype or shape raises AssertionError when recorded; an id, slot, row or block out
of range raises it from `run`.
"""

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import _native, cpu
from ossia.kernels.asked import Asked, Screen
from ossia.kernels.experts import ExpertCache
from ossia.kernels.tensors import Activation, KVLayer, Matrix


class Program:
    """A recorded sequence of ops over fixed arrays, which it keeps alive.

    `run` is one native call without the GIL; it may be called again after the arrays' contents changed. Runs
    from several Python threads take turns.
    """

    __slots__ = ("recorder",)

    def __init__(self) -> None:
        cpu.current()
        self.recorder = _native.Program()

    def __len__(self) -> int:
        return len(self.recorder)

    def run(self) -> None:
        """Run every op in order."""
        self.recorder.run()


def embed(
    p: Program,
    table: NDArray[np.uint16] | NDArray[np.float32],
    ids: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """out[t] = table[ids[t]].

    table bf16 or float32 (V, H), ids int32 (T,), out float32 (T, H); H % 16 == 0.
    """
    p.recorder.embed(table, ids, out)


def rms_norm(
    p: Program,
    x: NDArray[np.float32],
    weight: NDArray[np.float32],
    eps: float,
    out: Activation,
    normed: NDArray[np.float32] | None = None,
) -> None:
    """out = x · 1/√(mean(x²) + eps) · weight, in the activation's numerics; `normed` takes a float32 copy.

    x float32 (T, H), weight float32 (H,), out (T, H), normed float32 (T, H).
    """
    p.recorder.rms_norm(x, weight, eps, out, normed)


def quantize(p: Program, x: NDArray[np.float32], out: Activation) -> None:
    """x float32 (T, W) into the activation's numerics."""
    p.recorder.quantize(x, out)


def linear(
    p: Program,
    x: Activation,
    w: Matrix,
    bias: NDArray[np.float32] | None,
    out: NDArray[np.float32],
    *,
    accumulate: bool = False,
) -> None:
    """out = [out +] (x · wᵀ + bias). x (T, K), w (1, N, K), bias float32 (N,), out float32 (T, N)."""
    p.recorder.linear(x, w, bias, out, accumulate)


def rope_store(
    p: Program,
    qkv: NDArray[np.float32],
    cos: NDArray[np.float32],
    sin: NDArray[np.float32],
    slots: NDArray[np.int32],
    kv: KVLayer,
    num_heads: int,
) -> None:
    """Rotate q in place (half-split), and write rotated k and v to the cache at slot = block · 64 + offset.

    qkv float32 (T, (Hq + 2 Hkv) · D), cos and sin float32 (T, D/2), slots int32 (T,).
    k is rotated in place too.
    """
    p.recorder.rope_store(qkv, cos, sin, slots, kv, num_heads)


def attention(
    p: Program,
    qkv: NDArray[np.float32],
    kv: KVLayer,
    positions: NDArray[np.int32],
    rows: NDArray[np.int32],
    table: NDArray[np.int32],
    sinks: NDArray[np.float32],
    window: int,
    scale: float,
    out: Activation,
) -> None:
    """Query t of sequence row rows[t] sees keys j, positions[t] - window < j ≤ positions[t] (window 0: all).

    Key j lies in block table[row, j // 64] at offset j % 64; blocks wholly out of sight are never looked at
    (-1 there). One learned logit per head, `sinks` float32 (Hq,), joins the softmax's
    denominator.
    qkv as `rope_store` left it, positions and rows int32 (T,), table int32 (S, B), out (T, Hq · D).
    """
    p.recorder.attention(qkv, kv, positions, rows, table, sinks, window, scale, out)


def route(
    p: Program,
    normed: NDArray[np.float32],
    router: NDArray[np.float32],
    bias: NDArray[np.float32],
    top_k: int,
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
) -> None:
    """Top-k of normed · routerᵀ + bias and the softmax over those, in float32; ties go to the lower index.

    normed float32 (T, H), router float32 (E, H), bias float32 (E,); ids int32 and weights float32 (T, K),
    best first.
    """
    p.recorder.route(normed, router, bias, top_k, ids, weights)


def moe(
    p: Program,
    x: Activation,
    ids: NDArray[np.int32],
    weights: NDArray[np.float32],
    gate_up: Matrix,
    gate_up_bias: NDArray[np.float32],
    down: Matrix,
    down_bias: NDArray[np.float32],
    limit: float,
    alpha: float,
    out: NDArray[np.float32],
    cache: ExpertCache | None = None,
    layer: int = 0,
) -> None:
    """out += Σ_k weights[t, k] · expert_{ids[t, k]}(x[t]), k ascending; tokens are grouped by expert.

    expert(x) = down · (g · σ(alpha · g) · (u + 1)) + down_bias, with rows of gate_up interleaved (even g,
    odd u), g = min(g, limit), u = clamp(u, ±limit).
    x (T, H), ids int32 and weights float32 (T, K), gate_up (E, 2F, H),
    gate_up_bias float32 (E, 2F), down (E, H, F), down_bias float32 (E, H), out float32 (T, H).
    With a `cache`, the experts of its `layer` come from there, and gate_up and down only give their shapes;
    `run` raises OSError where one cannot be read.
    """
    p.recorder.moe(x, ids, weights, gate_up, gate_up_bias, down, down_bias, limit, alpha, out, cache, layer)


def gather_rows(
    p: Program, x: NDArray[np.float32], rows: NDArray[np.int32], out: NDArray[np.float32]
) -> None:
    """out[i] = x[rows[i]]. x float32 (T, H), rows int32 (n,), out float32 (n, H)."""
    p.recorder.gather_rows(x, rows, out)


def lm_head(
    p: Program,
    x: Activation,
    w: Matrix,
    asked: Asked,
    chosen: NDArray[np.int32],
    rescored: NDArray[np.int32],
    logits: NDArray[np.float32],
    screen: Screen | None = None,
) -> None:
    """Each row's logits x · wᵀ, or the id of its largest score: logits after bias, penalties, noise and mask.

    `chosen` (T,): the id, ties to the lower one, or NONE_ALLOWED, INFINITE or NOT_A_NUMBER; `rescored` (T,):
    how many exact logits decided, -1 for all. With a q8_planes weight and its `screen`, choosing for up to
    `screen.most_rows` rows reads the high plane, and the low one only where the largest score may be.
    x (T, K), w (1, V, K), logits float32 (T, V), written only for rows that want theirs.
    """
    p.recorder.lm_head(x, w, asked, chosen, rescored, logits, screen)


def split_planes(
    p: Program, data: NDArray[np.int8], scales: NDArray[np.float32], stats: NDArray[np.float64]
) -> None:
    """Rearrange q8 codes (N, K) and scales (N, K/32) in place as q8_planes; stats (N, 5) are `head`'s."""
    p.recorder.split_planes(data, scales, stats)


def gumbel(p: Program, key: int, ids: NDArray[np.int64], out: NDArray[np.float32]) -> None:
    """Standard Gumbel variates of the ids (n,) under a 64-bit key, as `lm_head` adds them; out (n,)."""
    p.recorder.gumbel(key, ids, out)


def kernels() -> list[tuple[str, str, str]]:
    """The native table: (op, numerics, isa) of every registered kernel, also those this CPU cannot run."""
    return list(_native.kernels())
