"""How large a model is, and how much memory running it takes, from its config alone."""

from dataclasses import dataclass, fields

from ossia.model.config import ModelConfig
from ossia.model.kv_cache import BLOCK, block_bytes, kv_kind
from ossia.settings import KVKind, Numerics

_BITS_PER_WEIGHT = {"q8": 9, "bf16": 16, "f32": 32}  # q8: 8 bits and a float32 scale per 32
_MXFP4_BITS = 4.25  # 16 bytes and a scale byte per 32
_PAD_BLOCKS = 2  # a window that begins and ends inside a block


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """`active` counts what one token passes through: the chosen experts, and of the embedding nothing, as
    the gpt-oss model card counts (its unembedding is in)."""

    total: int
    active: int


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes by part. `experts` stay mapped files (shared, reclaimable) where the checkpoint is MXFP4, as does
    `embedding`; the other parts are the process's own."""

    experts: int
    embedding: int
    dense: int
    kv_full: int
    kv_window: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All parts."""
        return sum(getattr(self, f.name) for f in fields(self))


def count_parameters(config: ModelConfig) -> ParameterCount:
    """Parameters of the model and of one token's path through it."""
    c = config
    attention = c.num_hidden_layers * _attention_layer(c)
    expert, router = _expert(c), c.num_local_experts * (c.hidden_size + 1)
    norms = c.num_hidden_layers * c.hidden_size * 2 + c.hidden_size
    ends = c.vocab_size * c.hidden_size
    shared = attention + norms + c.num_hidden_layers * router + ends
    return ParameterCount(
        total=shared + ends + c.num_hidden_layers * c.num_local_experts * expert,
        active=shared + c.num_hidden_layers * c.num_experts_per_tok * expert,
    )


def memory_plan(
    config: ModelConfig,
    numerics: Numerics,
    context: int,
    sequences: int = 1,
    max_batch_tokens: int = 512,
    kv_cache: KVKind | None = None,
) -> MemoryPlan:
    """Bytes needed to run `sequences` sequences of `context` tokens each, at once; `kv_cache` None: the type
    that goes with the numerics."""
    c, kind = config, kv_kind(numerics, kv_cache)
    layers, experts = c.num_hidden_layers, c.num_local_experts
    weights = layers * experts * _expert_weights(c)
    expert_bits = _MXFP4_BITS if c.quantization == "mxfp4" else _BITS_PER_WEIGHT[numerics]
    biases = 4 * layers * experts * (2 * c.intermediate_size + c.hidden_size)
    matrices = layers * c.hidden_size * (c.qkv_size + _q(c)) + c.vocab_size * c.hidden_size
    f32 = layers * (experts * (c.hidden_size + 1) + 3 * c.hidden_size + c.qkv_size + c.num_attention_heads)
    blocks = -(-context // BLOCK) * sequences
    window = min(-(-(c.sliding_window + max_batch_tokens) // BLOCK) + _PAD_BLOCKS, -(-context // BLOCK))
    widths = 3 * c.hidden_size + c.qkv_size + _q(c) + c.num_experts_per_tok * 3 * c.intermediate_size
    return MemoryPlan(
        experts=int(weights * expert_bits / 8),
        embedding=2 * c.vocab_size * c.hidden_size,
        dense=matrices * _BITS_PER_WEIGHT[numerics] // 8 + 4 * (f32 + c.hidden_size) + biases,
        kv_full=blocks * block_bytes(c, kind, "full"),
        kv_window=window * sequences * block_bytes(c, kind, "window"),
        activations=4 * max_batch_tokens * widths,
        logits=4 * sequences * c.vocab_size,
    )


def _q(c: ModelConfig) -> int:
    return c.num_attention_heads * c.head_dim


def _attention_layer(c: ModelConfig) -> int:
    return (
        c.hidden_size * c.qkv_size
        + c.qkv_size
        + _q(c) * c.hidden_size
        + c.hidden_size
        + c.num_attention_heads
    )


def _expert_weights(c: ModelConfig) -> int:
    return 3 * c.intermediate_size * c.hidden_size


def _expert(c: ModelConfig) -> int:
    return _expert_weights(c) + 2 * c.intermediate_size + c.hidden_size
