"""What a step must read and compute at least, counted from the config alone: the other half of a roofline.

Read are the weights that a token meets, once for all tokens of a step, and the keys and values it sees.
Activations stay in the caches and count nothing. An operation is a multiplication or an addition of a
matrix product.
"""

from dataclasses import dataclass

from ossia.kernels.head import most_screened
from ossia.model.config import ModelConfig
from ossia.model.kv_cache import kv_kind, position_bytes
from ossia.settings import KVKind, Numerics

_DENSE_BITS = {"q8": 9.0, "bf16": 16.0, "f32": 32.0}  # q8: 8 bits, and a float32 scale for 32 weights
_MXFP4_BITS = 4.25  # 16 bytes and a scale byte for 32 weights
_F32 = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes that must come from memory, and operations."""

    read_bytes: float
    ops: float

    def seconds(self, bandwidth: float, peak: float) -> float:
        """The least time this takes at `bandwidth` bytes and `peak` operations per second."""
        return max(self.read_bytes / bandwidth, self.ops / peak)


def decode_cost(
    config: ModelConfig,
    numerics: Numerics,
    streams: int = 1,
    depth: int = 0,
    kv_cache: KVKind | None = None,
    *,
    screened: bool = False,
) -> Cost:
    """One token of each of `streams` sequences that have `depth` tokens before it.

    `screened`: the LM head is, where that is faster; then half of it is read and, beyond that, what is small.
    """
    keys = _visible_keys(config, depth)
    half = screened and numerics == "q8" and streams <= most_screened(config.vocab_size, config.hidden_size)
    weights = _shared_bytes(config, numerics) + _expert_bytes(config, numerics) * expected_experts(
        config, streams
    )
    per_key = position_bytes(config, kv_kind(numerics, kv_cache))
    ops = _token_ops(config) + 2.0 * _head(config) + _attention_ops(config, keys)
    if half:
        weights -= _head(config) * _DENSE_BITS[numerics] / 8 / 2
    return Cost(weights + streams * keys * per_key, streams * ops)


def prefill_ops(config: ModelConfig, tokens: int) -> float:
    """Operations of a prompt of `tokens`, and of the logits of its last one."""
    seen = {
        "full_attention": tokens * (tokens + 1) / 2,
        "sliding_attention": float(sum(min(i + 1, config.sliding_window) for i in range(tokens))),
    }
    keys = sum(seen[kind] for kind in config.layer_types)
    return tokens * _token_ops(config) + 2.0 * _head(config) + _attention_ops(config, keys)


def expected_experts(config: ModelConfig, tokens: int) -> float:
    """Distinct experts of a layer that so many tokens meet, on average, if the router has no favourites."""
    missed = (1 - config.num_experts_per_tok / config.num_local_experts) ** tokens
    return config.num_local_experts * (1 - missed)


def _visible_keys(c: ModelConfig, depth: int) -> float:
    """Keys the token after `depth` others sees, over all layers."""
    here = depth + 1
    return sum(here if kind == "full_attention" else min(here, c.sliding_window) for kind in c.layer_types)


def _attention_weights(c: ModelConfig) -> int:
    return c.hidden_size * (c.qkv_size + c.num_attention_heads * c.head_dim)


def _expert_weights(c: ModelConfig) -> int:
    return 3 * c.intermediate_size * c.hidden_size


def _head(c: ModelConfig) -> int:
    return c.vocab_size * c.hidden_size


def _shared_bytes(c: ModelConfig, numerics: Numerics) -> float:
    """Weights that every step reads: attention, router, norms, the head."""
    vectors = (
        c.num_local_experts * (c.hidden_size + 1) + 3 * c.hidden_size + c.qkv_size + c.num_attention_heads
    )
    dense = c.num_hidden_layers * _attention_weights(c) + _head(c)
    return dense * _DENSE_BITS[numerics] / 8 + _F32 * (c.num_hidden_layers * vectors + c.hidden_size)


def _expert_bytes(c: ModelConfig, numerics: Numerics) -> float:
    """One expert in every layer."""
    bits = _MXFP4_BITS if c.quantization == "mxfp4" else _DENSE_BITS[numerics]
    biases = _F32 * (2 * c.intermediate_size + c.hidden_size)
    return c.num_hidden_layers * (_expert_weights(c) * bits / 8 + biases)


def _token_ops(c: ModelConfig) -> float:
    """A token's matrix products, without attention's own and the head's."""
    router = c.num_local_experts * c.hidden_size
    layer = _attention_weights(c) + router + c.num_experts_per_tok * _expert_weights(c)
    return 2.0 * c.num_hidden_layers * layer


def _attention_ops(c: ModelConfig, keys: float) -> float:
    return 4.0 * c.num_attention_heads * c.head_dim * keys
