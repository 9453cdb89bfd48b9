"""The name table: what tensors a gpt-oss model has, and where each layout keeps them.

Inside Ossia a tensor goes by its Hugging Face name. A `Place` says under which name a file stores it, which
rows of the stored tensor it is (original/ fuses q, k and v), and with which shape and types.

Shapes in the table: H hidden, D head_dim, Hq and Hkv heads, E experts, F intermediate, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ossia.model.config import ModelConfig

Layout = Literal["hf", "original"]

FLOATS = ("BF16", "F16", "F32")
BYTES = ("U8",)


@dataclass(frozen=True, slots=True)
class Place:
    """`name` (ours) is rows `first` to `first + shape[0]` of `stored`, which has `stored_shape`."""

    name: str
    stored: str
    shape: tuple[int, ...]
    dtypes: tuple[str, ...]
    first: int
    stored_shape: tuple[int, ...]


def name_table(config: ModelConfig, layout: Layout) -> dict[str, Place]:
    """Every tensor the model needs, by our name; MXFP4 or plain experts as `config.quantization` says."""
    places = {p.name: p for p in _ends(config, layout)}
    for layer in range(config.num_hidden_layers):
        parts = _original_layer if layout == "original" else _hf_layer
        places.update((p.name, p) for p in parts(config, layer))
    return places


def _whole(name: str, stored: str, *shape: int, dtypes: tuple[str, ...] = FLOATS) -> Place:
    return Place(name, stored, shape, dtypes, 0, shape)


def _ends(c: ModelConfig, layout: Layout) -> Iterator[Place]:
    hf = layout == "hf"
    embed, norm, head = "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"
    yield _whole(embed, embed if hf else "embedding.weight", c.vocab_size, c.hidden_size)
    yield _whole(norm, norm if hf else "norm.scale", c.hidden_size)
    yield _whole(head, head if hf else "unembedding.weight", c.vocab_size, c.hidden_size)


def _hf_layer(c: ModelConfig, layer: int) -> Iterator[Place]:
    at = f"model.layers.{layer}."
    h, q, kv = c.hidden_size, c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    e, f = c.num_local_experts, c.intermediate_size
    experts = at + "mlp.experts."
    yield from (_whole(at + n, at + n, *s) for n, s in _small_tensors(c).items())
    for name, rows in (("q_proj", q), ("k_proj", kv), ("v_proj", kv)):
        weight, bias = f"{at}self_attn.{name}.weight", f"{at}self_attn.{name}.bias"
        yield _whole(weight, weight, rows, h)
        yield _whole(bias, bias, rows)
    if c.quantization == "mxfp4":
        yield from _packed(experts + "gate_up_proj", experts + "gate_up_proj_", e, 2 * f, h)
        yield from _packed(experts + "down_proj", experts + "down_proj_", e, h, f)
    else:  # as transformers keeps them: input axis before output axis
        yield _whole(experts + "gate_up_proj", experts + "gate_up_proj", e, h, 2 * f)
        yield _whole(experts + "down_proj", experts + "down_proj", e, f, h)
    yield _whole(experts + "gate_up_proj_bias", experts + "gate_up_proj_bias", e, 2 * f)
    yield _whole(experts + "down_proj_bias", experts + "down_proj_bias", e, h)


def _original_layer(c: ModelConfig, layer: int) -> Iterator[Place]:
    ours, theirs = f"model.layers.{layer}.", f"block.{layer}."
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    e, f, h = c.num_local_experts, c.intermediate_size, c.hidden_size
    yield from (_whole(ours + n, theirs + _ORIGINAL[n], *s) for n, s in _small_tensors(c).items())
    qkv = c.qkv_size
    for name, first, rows in (("q_proj", 0, q), ("k_proj", q, kv), ("v_proj", q + kv, kv)):
        attn = f"{ours}self_attn.{name}."
        yield Place(attn + "weight", theirs + "attn.qkv.weight", (rows, h), FLOATS, first, (qkv, h))
        yield Place(attn + "bias", theirs + "attn.qkv.bias", (rows,), FLOATS, first, (qkv,))
    experts = ours + "mlp.experts."
    yield from _packed(experts + "gate_up_proj", theirs + "mlp.mlp1_weight.", e, 2 * f, h)
    yield from _packed(experts + "down_proj", theirs + "mlp.mlp2_weight.", e, h, f)
    yield _whole(experts + "gate_up_proj_bias", theirs + "mlp.mlp1_bias", e, 2 * f)
    yield _whole(experts + "down_proj_bias", theirs + "mlp.mlp2_bias", e, h)


def _packed(ours: str, theirs: str, experts: int, rows: int, columns: int) -> Iterator[Place]:
    """MXFP4: 16 bytes (low nibble first) and one scale per block of 32 columns."""
    yield _whole(ours + "_blocks", theirs + "blocks", experts, rows, columns // 32, 16, dtypes=BYTES)
    yield _whole(ours + "_scales", theirs + "scales", experts, rows, columns // 32, dtypes=BYTES)


_ORIGINAL = {
    "input_layernorm.weight": "attn.norm.scale",
    "self_attn.o_proj.weight": "attn.out.weight",
    "self_attn.o_proj.bias": "attn.out.bias",
    "self_attn.sinks": "attn.sinks",
    "post_attention_layernorm.weight": "mlp.norm.scale",
    "mlp.router.weight": "mlp.gate.weight",
    "mlp.router.bias": "mlp.gate.bias",
}


def _small_tensors(c: ModelConfig) -> dict[str, tuple[int, ...]]:
    h, q, e = c.hidden_size, c.num_attention_heads * c.head_dim, c.num_local_experts
    shapes: list[tuple[int, ...]] = [(h,), (h, q), (h,), (c.num_attention_heads,), (h,), (e, h), (e,)]
    return dict(zip(_ORIGINAL, shapes, strict=True))
