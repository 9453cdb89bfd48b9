"""The model as mathematics: one sequence, float64, no cache, no batching. What everything else must equal.

Reads like the model card. Slow on purpose: every expert matrix is unpacked where it is used.
Dims: T tokens, H hidden, Hq and Hkv heads, G = Hq / Hkv, D head_dim, E experts, K chosen, F intermediate, V.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.model.checkpoint import Checkpoint, as_float32
from ossia.model.config import LayerType, ModelConfig
from ossia.model.rope import attention_factor, inverse_frequencies

Array = NDArray[np.float64]

FP4 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


@dataclass(frozen=True, slots=True)
class ReferenceOutput:
    """`logits` (T, V); `experts` (layers, T, K): whom each token was routed to, best first."""

    logits: Array
    experts: NDArray[np.int64]


def reference_forward(checkpoint: Checkpoint, token_ids: Sequence[int]) -> ReferenceOutput:
    """Logits after every one of `token_ids`, in float64 throughout."""
    c = checkpoint.config
    x = _get(checkpoint, "model.embed_tokens.weight", np.asarray(token_ids))  # (T, H)
    rotation = _rotation(c, len(token_ids))
    chosen: list[NDArray[np.int64]] = []
    for layer, kind in enumerate(c.layer_types):
        part = _Layer(checkpoint, f"model.layers.{layer}.")
        x = x + _attention(c, part, kind, rotation, _rms_norm(x, part["input_layernorm.weight"], c))
        delta, experts = _mixture(c, part, _rms_norm(x, part["post_attention_layernorm.weight"], c))
        x = x + delta
        chosen.append(experts)
    x = _rms_norm(x, _get(checkpoint, "model.norm.weight"), c)
    return ReferenceOutput(x @ _get(checkpoint, "lm_head.weight").T, np.stack(chosen))


def unpack_mxfp4(blocks: NDArray[np.uint8], scales: NDArray[np.uint8]) -> Array:
    """blocks (..., n, 16), low nibble first, and scales (..., n) → values (..., 32 n)."""
    values = np.stack([FP4[blocks & 15], FP4[blocks >> 4]], axis=-1).reshape(*scales.shape, 32)
    return np.ldexp(values, scales.astype(np.int32)[..., None] - 127).reshape(*scales.shape[:-1], -1)


class _Layer:
    def __init__(self, checkpoint: Checkpoint, prefix: str) -> None:
        self._checkpoint, self._prefix = checkpoint, prefix

    def __getitem__(self, name: str) -> Array:
        return _get(self._checkpoint, self._prefix + name)

    def expert(self, matrix: str, e: int) -> Array:
        """One expert's matrix (out, in)."""
        name = f"{self._prefix}mlp.experts.{matrix}"
        if self._checkpoint.config.quantization == "mxfp4":
            blocks, scales = (self._checkpoint.array(f"{name}_{part}")[e] for part in ("blocks", "scales"))
            return unpack_mxfp4(blocks, scales)
        return _get(self._checkpoint, name, e).T

    def expert_bias(self, matrix: str, e: int) -> Array:
        return _get(self._checkpoint, f"{self._prefix}mlp.experts.{matrix}_bias", e)


def _get(checkpoint: Checkpoint, name: str, rows: Any = slice(None)) -> Array:
    return as_float32(checkpoint.array(name)[rows]).astype(np.float64)


def _rms_norm(x: Array, weight: Array, c: ModelConfig) -> Array:
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + c.rms_norm_eps) * weight


def _rotation(c: ModelConfig, length: int) -> tuple[Array, Array]:
    angles = np.arange(length)[:, None] * inverse_frequencies(c.rope, c.head_dim)  # (T, D/2)
    factor = attention_factor(c.rope)
    return np.cos(angles) * factor, np.sin(angles) * factor


def _rotate(x: Array, rotation: tuple[Array, Array]) -> Array:
    """x (T, heads, D): dimension i turns with dimension i + D/2."""
    cos, sin = (r[:, None, :] for r in rotation)
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _attention(c: ModelConfig, p: _Layer, kind: LayerType, rotation: tuple[Array, Array], x: Array) -> Array:
    t, group = len(x), c.num_attention_heads // c.num_key_value_heads

    def project(name: str) -> Array:  # (T, heads, D)
        y = x @ p[f"self_attn.{name}.weight"].T + p[f"self_attn.{name}.bias"]
        return y.reshape(t, -1, c.head_dim)

    q = _rotate(project("q_proj"), rotation)
    k = _rotate(project("k_proj"), rotation).repeat(group, axis=1)
    v = project("v_proj").repeat(group, axis=1)
    scores = np.einsum("ihd,jhd->hij", q, k) * c.head_dim**-0.5  # (Hq, T, T)
    i, j = np.arange(t)[:, None], np.arange(t)[None, :]
    visible = (j <= i) & (j > i - c.sliding_window) if kind == "sliding_attention" else j <= i
    scores = np.where(visible, scores, -np.inf)
    sinks = p["self_attn.sinks"][:, None, None]  # one more logit per head, that leads nowhere
    top = np.maximum(scores.max(-1, keepdims=True), sinks)
    weights = np.exp(scores - top)
    weights /= weights.sum(-1, keepdims=True) + np.exp(sinks - top)
    y = np.einsum("hij,jhd->ihd", weights, v).reshape(t, -1)
    return y @ p["self_attn.o_proj.weight"].T + p["self_attn.o_proj.bias"]


def _mixture(c: ModelConfig, p: _Layer, x: Array) -> tuple[Array, NDArray[np.int64]]:
    scores = x @ p["mlp.router.weight"].T + p["mlp.router.bias"]  # (T, E)
    chosen = np.argsort(-scores, axis=-1, kind="stable")[:, : c.num_experts_per_tok]  # (T, K)
    best = np.take_along_axis(scores, chosen, axis=-1)
    weights = np.exp(best - best[:, :1])
    weights /= weights.sum(-1, keepdims=True)  # softmax over the chosen only
    out = np.zeros_like(x)
    for e in np.unique(chosen):
        rows, slots = np.nonzero(chosen == e)
        out[rows] += weights[rows, slots, None] * _expert(c, p, int(e), x[rows])
    return out, chosen


def _expert(c: ModelConfig, p: _Layer, e: int, x: Array) -> Array:
    y = x @ p.expert("gate_up_proj", e).T + p.expert_bias("gate_up_proj", e)  # (n, 2F)
    gate = np.minimum(y[:, ::2], c.swiglu_limit)  # rows interleave: even gate, odd linear
    linear = np.clip(y[:, 1::2], -c.swiglu_limit, c.swiglu_limit)
    hidden = gate / (1 + np.exp(-c.swiglu_alpha * gate)) * (linear + 1)
    return hidden @ p.expert("down_proj", e).T + p.expert_bias("down_proj", e)
