"""The network that learns pocket's adapter, in torch: the base in its converted form, frozen, plus LoRA.

The frozen weights stand exactly as the checkpoint will hold them (gate / 1.702, up and down scaled by
channel, see `ossia.hub.pocket.layout`), so that what is learnt here is added there without change. Experts are
kept merged: with every expert active at weight 1/8, eight slices of 192 channels *are* one layer of 1,536.
It does not know the KV cache's paging, sinks or routing: all three are inert in pocket.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ossia.hub.pocket.layout import Base, ProjectionName

RANK = 16
ALPHA = 32.0
MXFP4_BLOCK = 32
SWIGLU_LIMIT = 7.0
SWIGLU_ALPHA = 1.702
EXPERT_GAIN = 8.0  # down is stored 8 times larger, as each of 8 experts counts 1/8: a power of two, exact


def fake_mxfp4(w: Tensor) -> Tensor:
    """`w` (N, K) rounded to MXFP4 values: per 32 of the last axis a scale 2^(floor(log2(amax·8/7)) − 2)."""
    blocks = w.float().reshape(-1, MXFP4_BLOCK)
    amax = blocks.abs().amax(dim=1, keepdim=True)
    exponent = torch.floor(torch.log2(amax.clamp_min(1e-30) * (8 / 7))) - 2
    scaled = blocks * torch.exp2(-exponent)
    magnitude = scaled.abs()
    step = torch.where(magnitude < 2, 0.5, torch.where(magnitude < 4, 1.0, 2.0))
    rounded = (torch.round(magnitude / step) * step).clamp_max(6.0)
    return (torch.copysign(rounded, scaled) * torch.exp2(exponent)).reshape(w.shape)


class Projection(nn.Module):
    """A frozen linear layer with a low-rank addition and a bias: y = x·(W + scale·B·A)ᵀ + b."""

    def __init__(self, weight: Tensor, quantised: bool) -> None:
        super().__init__()
        out_features, in_features = weight.shape
        self.quantised = quantised
        self.register_buffer("exact", weight.float() if quantised else None, persistent=False)
        self.register_buffer("weight", weight.to(torch.bfloat16), persistent=False)
        self.lora_a = nn.Parameter(torch.randn(RANK, in_features) / in_features**0.5)
        self.lora_b = nn.Parameter(torch.zeros(out_features, RANK))
        self.bias = nn.Parameter(torch.zeros(out_features))
        self.scale = ALPHA / RANK

    def forward(self, x: Tensor) -> Tensor:
        low = functional.linear(x, self.lora_a.to(x.dtype))
        y = functional.linear(x, self.weight, self.bias.to(x.dtype))
        return y + functional.linear(low, (self.lora_b * self.scale).to(x.dtype))

    @torch.no_grad()
    def refresh(self, quantise: bool) -> None:
        """Set the frozen weight so that frozen + low-rank is the MXFP4 value of the merged weight.

        The gradient passes straight through; between refreshes the low-rank part moves on its own.
        """
        if not self.quantised:
            return
        if not quantise:
            self.weight.copy_(self.exact)
            return
        added = self.scale * (self.lora_b @ self.lora_a)
        self.weight.copy_(fake_mxfp4(self.exact + added) - added)

    @torch.no_grad()
    def merged(self, quantise: bool) -> Tensor:
        total = (self.exact if self.quantised else self.weight.float()) + self.scale * (self.lora_b @ self.lora_a)
        return fake_mxfp4(total) if quantise and self.quantised else total


class Norm(nn.Module):
    """RMSNorm in float32 with a trained weight."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.float().clone())
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), self.weight.shape, self.weight, self.eps).to(x.dtype)


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
        """x (B, H, T, D), half-split."""
        first, second = x.chunk(2, dim=-1)
        cos, sin = self.cos.to(x.dtype), self.sin.to(x.dtype)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


KeyValue = tuple[Tensor, Tensor]


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

    def attend(self, x: Tensor, rotation: Rotation, past: KeyValue | None, mask: Tensor | None):
        """Causal attention of x (B, T, H); with `past`, keys and values are appended to it."""
        batch, length, _ = x.shape
        q = self.q(x).view(batch, length, self.heads, -1).transpose(1, 2)
        k = self.k(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        v = self.v(x).view(batch, length, self.kv_heads, -1).transpose(1, 2)
        q, k = rotation.apply(q), rotation.apply(k)
        if past is not None:
            k, v = torch.cat((past[0], k), dim=2), torch.cat((past[1], v), dim=2)
        repeat = self.heads // self.kv_heads
        out = functional.scaled_dot_product_attention(
            q,
            k.repeat_interleave(repeat, dim=1),
            v.repeat_interleave(repeat, dim=1),
            attn_mask=mask,
            is_causal=mask is None and past is None,
        )
        return self.o(out.transpose(1, 2).reshape(batch, length, -1)), (k, v)

    def feed(self, x: Tensor) -> Tensor:
        gate = self.gate(x).clamp_max(self.limit)
        up = (self.up(x) - 1).clamp(-self.limit, self.limit) + 1
        return self.down(gate * torch.sigmoid(SWIGLU_ALPHA * gate) * up)

    def forward(self, x: Tensor, rotation: Rotation, past: KeyValue | None = None, mask: Tensor | None = None):
        attended, kept = self.attend(self.attention_norm(x), rotation, past, mask)
        x = x + attended
        return x + self.feed(self.mlp_norm(x)), kept


class Network(nn.Module):
    """Pocket as it is trained: `hidden` gives the last hidden states, `logits` reads them out."""

    def __init__(self, base: Base, swiglu_limit: float | None = SWIGLU_LIMIT) -> None:
        super().__init__()
        limit = float("inf") if swiglu_limit is None else swiglu_limit
        table = torch.from_numpy(base.embedding()).to(torch.bfloat16)
        self.marker_ids = torch.tensor(base.marker_ids)
        self.register_buffer("table", table, persistent=False)
        rows = table[self.marker_ids].float()
        self.marker_embedding = nn.Parameter(rows.clone())
        self.marker_head = nn.Parameter(rows.clone())
        self.blocks = nn.ModuleList(Block(base, index, limit) for index in range(base.num_layers))
        self.final_norm = Norm(torch.from_numpy(base.final_norm()), base.eps)
        self.rotation = Rotation.of(base.context_length, base.head_dim, base.rope_theta)

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
        for block in self.blocks:
            x, _ = block(x, rotation)
        return self.final_norm(x)

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
