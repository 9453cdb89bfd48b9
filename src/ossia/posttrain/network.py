"""The network that learns pocket's adapter, in torch: the base in its converted form, frozen, plus LoRA.

The frozen weights stand exactly as the checkpoint will hold them (gate / 1.702, up and down scaled by
channel, see `ossia.hub.pocket.layout`), so that what is learnt here is added there without change. Experts
are kept merged: with every expert active at weight 1/8, eight slices of 192 channels *are* one layer of
1,536. It does not know the KV cache's paging, sinks or routing: all three are inert in pocket.
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossia.hub.pocket.layout import Base, ProjectionName

RANK = 16
LORA_SCALE = 2.0
MXFP4_BLOCK = 32
SWIGLU_LIMIT = 7.0
SWIGLU_ALPHA = 1.702


@cache
def _compiled(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return torch.compile(function, dynamic=True)


def _fused(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Element-wise arithmetic as one pass where gradients are needed; as it is where they are not."""
    return _compiled(function) if torch.is_grad_enabled() else function


def fake_mxfp4(w: Tensor) -> Tensor:
    """`w` (N, K) float32 rounded to MXFP4 values: per 32 of the last axis a scale 2^(floor(log2(amax·8/7))
    − 2).
    """
    blocks = w.reshape(-1, MXFP4_BLOCK)
    amax = blocks.abs().amax(dim=1, keepdim=True).clamp_min(1e-30) * (8 / 7)
    biased = (amax.view(torch.int32) >> 23) - 2  # the scale's exponent, read off the float's own
    scale = (biased << 23).view(torch.float32)
    scaled = blocks * ((254 - biased) << 23).view(torch.float32)
    magnitude = scaled.abs()
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    rounded = (torch.round(magnitude / step) * step).clamp_max(6.0)
    return (torch.copysign(rounded, scaled) * scale).reshape(w.shape)


class _LowRankLinear(torch.autograd.Function):
    """x·Wᵀ + b where W already contains the low-rank part; its gradient goes to the two factors only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, a, b)
        return functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b = ctx.saved_tensors
        dy = gradients[0].flatten(0, -2)
        flat = x.flatten(0, -2)
        da = (dy @ b).t() @ flat
        db = dy.t() @ (flat @ a.t())
        return (dy @ weight).view_as(x), None, da, db, dy.sum(dim=0)


class Projection(nn.Module):
    """A frozen linear layer with a low-rank addition and a bias: y = x·(W + scale·B·A)ᵀ + b.

    `weight` is what the multiplication uses: the merged matrix in bfloat16, or its MXFP4 values. `refresh`
    sets it after every optimiser step; the gradient passes straight through the rounding.
    """

    exact: Tensor
    weight: Tensor

    def __init__(self, weight: Tensor, quantised: bool) -> None:
        super().__init__()
        out_features, in_features = weight.shape
        self.quantised = quantised
        self.register_buffer("exact", weight.float(), persistent=False)
        self.register_buffer("weight", weight.to(torch.bfloat16), persistent=False)
        self.lora_a = nn.Parameter(torch.randn(RANK, in_features) / in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(out_features, RANK))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return functional.linear(x, self.weight, self.bias.to(x.dtype))
        a, b = self.lora_a.to(x.dtype), (self.lora_b * LORA_SCALE).to(x.dtype)
        return cast(Tensor, _LowRankLinear.apply(x, self.weight, a, b, self.bias.to(x.dtype)))

    @torch.no_grad()
    def refresh(self, quantise: bool) -> None:
        merged = torch.addmm(self.exact, self.lora_b, self.lora_a, alpha=LORA_SCALE)
        self.weight.copy_(_compiled(fake_mxfp4)(merged) if quantise and self.quantised else merged)


def _normalise(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(dim=-1, keepdim=True) + eps) * weight).to(x.dtype)


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (B, H, T, D), cos and sin (T, D/2): half-split."""
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1).to(x.dtype)


def _swiglu(gate: Tensor, up: Tensor, limit: float) -> Tensor:
    """gate (…, F) and up before its bias of −1 → (…, F), as gpt-oss clamps and gates."""
    g = gate.float().clamp_max(limit)
    u = (up.float() - 1).clamp(-limit, limit) + 1
    return (g * torch.sigmoid(SWIGLU_ALPHA * g) * u).to(gate.dtype)


class Norm(nn.Module):
    """RMSNorm in float32 with a trained weight."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.float().clone())
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return _fused(_normalise)(x, self.weight, self.eps)


@dataclass(frozen=True, slots=True)
class Rotation:
    """cos and sin of every position: (T, D/2), float32."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, length: int, head_dim: int, theta: float) -> "Rotation":
        frequency = theta ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
        angle = torch.arange(length, dtype=torch.float64)[:, None] * frequency
        return cls(angle.cos().float(), angle.sin().float())

    def slice(self, start: int, stop: int) -> "Rotation":
        return Rotation(self.cos[start:stop], self.sin[start:stop])

    def apply(self, x: Tensor) -> Tensor:
        return _fused(_rotate)(x, self.cos, self.sin)


class Cache:
    """Keys and values of one layer while sampling: (B·Hkv, T, D), filled up to `length`."""

    def __init__(self, rows: int, capacity: int, head_dim: int) -> None:
        self.k = torch.zeros(rows, capacity, head_dim, dtype=torch.bfloat16)
        self.v = torch.zeros_like(self.k)
        self.length = 0

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        start, self.length = self.length, self.length + k.shape[1]
        self.k[:, start : self.length] = k
        self.v[:, start : self.length] = v
        return self.k[:, : self.length], self.v[:, : self.length]


def attention(q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:
    """q (B·Hkv, G·T, D), k and v (B·Hkv, S, D) → (B·Hkv, G·T, D).

    `visible` bool (1 or B·Hkv, G·T, S), None = all. The G heads of a group share one multiplication: cheaper
    on a CPU than the fused kernel's backward.
    """
    scores = torch.bmm(q, k.transpose(1, 2))
    if visible is not None:
        scores = scores + torch.zeros(visible.shape, dtype=q.dtype).masked_fill_(~visible, float("-inf"))
    return torch.bmm(torch.softmax(scores, dim=-1), v)


class Block(nn.Module):
    """One decoder layer."""

    def __init__(self, base: Base, index: int, swiglu_limit: float) -> None:
        super().__init__()
        self.limit = swiglu_limit
        self.heads, self.kv_heads = base.num_heads, base.num_kv_heads

        def projection(name: ProjectionName, quantised: bool = False) -> Projection:
            return Projection(torch.from_numpy(base.projection(index, name)), quantised)

        self.attention_norm = Norm(torch.from_numpy(base.norm(index, "attention")), base.eps)
        self.mlp_norm = Norm(torch.from_numpy(base.norm(index, "mlp")), base.eps)
        self.q, self.k, self.v, self.o = (projection(name) for name in ("q", "k", "v", "o"))
        self.gate, self.up = projection("gate", True), projection("up", True)
        self.down = projection("down", True)

    def attend(self, x: Tensor, rotation: Rotation, visible: Tensor | None, cache: Cache | None) -> Tensor:
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.k(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        v = self.v(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        q, k = rotation.apply(q) * q.shape[-1] ** -0.5, rotation.apply(k)
        rows, dim = batch * self.kv_heads, q.shape[-1]
        k, v = k.reshape(rows, length, dim), v.reshape(rows, length, dim)
        if cache is not None:
            k, v = cache.extend(k, v)
        out = attention(q.reshape(rows, -1, dim), k, v, visible).view(batch, self.heads, length, dim)
        return self.o(out.transpose(1, 2).reshape(batch, length, -1))

    def forward(
        self, x: Tensor, rotation: Rotation, visible: Tensor | None, cache: Cache | None = None
    ) -> Tensor:
        x = x + self.attend(self.attention_norm(x), rotation, visible, cache)
        normed = self.mlp_norm(x)
        return x + self.down(_fused(_swiglu)(self.gate(normed), self.up(normed), self.limit))


def causal(length: int, group: int) -> Tensor:
    """(1, G·T, T): each position of each head sees itself and what is before it."""
    return torch.ones(length, length, dtype=torch.bool).tril().repeat(group, 1)[None]


class Network(nn.Module):
    """Pocket as it is trained: `hidden` gives the last hidden states, `logits` reads them out."""

    def __init__(self, base: Base, swiglu_limit: float | None = SWIGLU_LIMIT) -> None:
        super().__init__()
        limit = float("inf") if swiglu_limit is None else swiglu_limit
        self.head_dim, self.kv_heads = base.head_dim, base.num_kv_heads
        self.group = base.num_heads // base.num_kv_heads
        table = torch.from_numpy(base.embedding()).to(torch.bfloat16)
        self.marker_ids = torch.tensor(base.marker_ids)
        self.register_buffer("table", table, persistent=False)
        rows = table[self.marker_ids].float()
        self.marker_embedding = nn.Parameter(rows.clone())
        self.marker_head = nn.Parameter(rows.clone())
        self.blocks = nn.ModuleList(Block(base, index, limit) for index in range(base.num_layers))
        self.final_norm = Norm(torch.from_numpy(base.final_norm()), base.eps)
        self.rotation = Rotation.of(base.context_length, base.head_dim, base.rope_theta)

    table: Tensor

    def embed(self, ids: Tensor) -> Tensor:
        first = int(self.marker_ids[0])
        offset = ids - first
        inside = (offset >= 0) & (offset < len(self.marker_ids))
        marked = self.marker_embedding.to(self.table.dtype)[offset.clamp(0, len(self.marker_ids) - 1)]
        return torch.where(inside[..., None], marked, functional.embedding(ids, self.table))

    def hidden(self, ids: Tensor) -> Tensor:
        """ids (B, T) right-padded → hidden states (B, T, H) after the final norm."""
        x = self.embed(ids)
        rotation = self.rotation.slice(0, ids.shape[1])
        visible = causal(ids.shape[1], self.group)
        for block in self.blocks:
            x = block(x, rotation, visible)
        return self.final_norm(x)

    def caches(self, batch: int, capacity: int) -> list[Cache]:
        return [Cache(batch * self.kv_heads, capacity, self.head_dim) for _ in self.blocks]

    def extend(self, ids: Tensor, caches: list[Cache], padding: Tensor) -> Tensor:
        """Feed ids (B, T) after what the caches hold → logits (B, V) of the last position.

        Prompts are padded on the left: `padding` (B,) positions of each row are never looked at. (Rotary
        positions are relative, so the shift changes nothing.)
        """
        length, filled = ids.shape[1], caches[0].length + ids.shape[1]
        ordered = torch.arange(filled) <= torch.arange(filled - length, filled)[:, None]
        kept = torch.arange(filled)[None, :] >= padding[:, None]
        # A padded position sees itself only, so that its softmax is defined.
        visible = (ordered & kept[:, None]) | torch.eye(filled, dtype=torch.bool)[filled - length :]
        visible = visible.repeat(1, self.group, 1).repeat_interleave(self.kv_heads, dim=0)
        x = self.embed(ids)
        rotation = self.rotation.slice(caches[0].length, caches[0].length + ids.shape[1])
        for block, kept in zip(self.blocks, caches, strict=True):
            x = block(x, rotation, visible, kept)
        return self.logits(self.final_norm(x[:, -1]))

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (N, H) → logits (N, V)."""
        first, count = int(self.marker_ids[0]), len(self.marker_ids)
        plain = functional.linear(hidden, self.table)
        marked = functional.linear(hidden, self.marker_head.to(hidden.dtype))
        return torch.cat((plain[:, :first], marked, plain[:, first + count :]), dim=1)

    def projections(self) -> Iterator[tuple[str, Projection]]:
        for name, module in self.named_modules():
            if isinstance(module, Projection):
                yield name, module

    def refresh(self, quantise: bool) -> None:
        """Re-quantise (or restore) the frozen weights of every quantised projection."""
        for _, projection in self.projections():
            projection.refresh(quantise)
