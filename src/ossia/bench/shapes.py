"""The shapes a synthetic checkpoint can have, as the config.json that is published with them.

Nothing here knows a weight. `tiny` is no published shape: it has the vocabulary of the others, so that
everything runs on it, and is written in a second.
"""

from dataclasses import dataclass
from typing import Any

from ossia.errors import InputError
from ossia.hub.sources import SYNTHETIC_KEY
from ossia.model.config import ModelConfig, config_from_dict

_PUBLISHED: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"],
    "attention_bias": True,
    "attention_dropout": 0.0,
    "eos_token_id": 200002,
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 2880,
    "initial_context_length": 4096,
    "initializer_range": 0.02,
    "intermediate_size": 2880,
    "max_position_embeddings": 131072,
    "model_type": "gpt_oss",
    "num_attention_heads": 64,
    "num_experts_per_tok": 4,
    "num_key_value_heads": 8,
    "output_router_logits": False,
    "pad_token_id": 199999,
    "quantization_config": {
        "modules_to_not_convert": [
            "model.layers.*.self_attn",
            "model.layers.*.mlp.router",
            "model.embed_tokens",
            "lm_head",
        ],
        "quant_method": "mxfp4",
    },
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "beta_fast": 32.0,
        "beta_slow": 1.0,
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "rope_type": "yarn",
        "truncate": False,
    },
    "rope_theta": 150000,
    "router_aux_loss_coef": 0.9,
    "sliding_window": 128,
    "swiglu_limit": 7.0,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 201088,
}
_CHANGES: dict[str, dict[str, Any]] = {
    "20b": {"num_hidden_layers": 24, "num_local_experts": 32},
    "120b": {"num_hidden_layers": 36, "num_local_experts": 128},
    "tiny": {
        "num_hidden_layers": 2, "num_local_experts": 8, "hidden_size": 64, "intermediate_size": 64,
        "head_dim": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
    },
}  # fmt: skip
SHAPES = tuple(_CHANGES)
"""Names of the shapes."""

GENERATION_CONFIG: dict[str, Any] = {
    "bos_token_id": 199998,
    "do_sample": True,
    "eos_token_id": [200002, 199999, 200012],
    "pad_token_id": 199999,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape, whole or with fewer (or more) layers: `raw` is its config.json, `config` what that means."""

    name: str
    raw: dict[str, Any]
    config: ModelConfig


def shape_named(name: str, layers: int | None = None) -> Shape:
    """The shape called `name` (20b, 120b, tiny), with `layers` layers where that is given.

    Raises InputError for an unknown name or an impossible number of layers.
    """
    if name not in _CHANGES:
        raise InputError(
            f"no shape is called {name!r}", value=name, limit=SHAPES, remedy=f"Choose {', '.join(SHAPES)}."
        )
    if layers is not None and not 1 <= layers <= 1000:
        raise InputError(
            f"a model of {layers} layers cannot be made",
            value=layers,
            limit=(1, 1000),
            remedy="Give 1 or more.",
        )
    raw = _PUBLISHED | _CHANGES[name]
    count: int = layers or raw["num_hidden_layers"]
    raw |= {
        "num_hidden_layers": count,
        "layer_types": ["full_attention" if i % 2 else "sliding_attention" for i in range(count)],
        "experts_per_token": raw["num_experts_per_tok"],
        SYNTHETIC_KEY: True,
    }
    return Shape(name if layers is None else f"{name}-{layers}-layers", raw, config_from_dict(raw))
