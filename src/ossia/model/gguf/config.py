"""A GGUF file's metadata as the config it was made from, under the same checks as a config.json.

Not in the metadata, and so as published: the SwiGLU's limit and alpha, and that YaRN's ramp is not truncated
(llama.cpp truncates it, which changes angles by little).
"""

import struct
from typing import Any

from ossia.errors import ConfigError
from ossia.model.config import O200K_VOCAB, ModelConfig, config_from_dict
from ossia.model.gguf.container import ARCHITECTURES, Gguf, GgufArray
from ossia.model.gguf.layouts import MXFP4

_KEYS = {
    "num_hidden_layers": "block_count",
    "hidden_size": "embedding_length",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length",
    "num_local_experts": "expert_count",
    "num_experts_per_tok": "expert_used_count",
    "intermediate_size": "expert_feed_forward_length",
    "sliding_window": "attention.sliding_window",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "rope_theta": "rope.freq_base",
}
_ROPE_KEYS = {
    "factor": "factor",
    "original_context_length": "original_max_position_embeddings",
    "type": "rope_type",
    "yarn_beta_fast": "beta_fast",
    "yarn_beta_slow": "beta_slow",
}
# Of no effect at these values; at others they ask for another RoPE.
_ROPE_NEUTRAL = {"finetuned": (True, False), "attn_factor": (1.0,), "yarn_attn_factor": (1.0,),
                 "yarn_ext_factor": (1.0, -1.0), "yarn_log_multiplier": (0.0, 0.1)}  # fmt: skip
_FLOAT = struct.Struct("<f")


def gguf_config(gguf: Gguf) -> ModelConfig:
    """The config that the file's metadata describes; raises ConfigError as for a config.json."""
    try:
        return config_from_dict(_as_dict(gguf))
    except ConfigError as error:
        said = error.message.replace("config.json", f"{gguf.path.name}'s metadata")
        raise ConfigError(
            said, value=error.value, limit=error.limit,
            remedy="Choose a gpt-oss model, or fetch this one again with the program it came from.",
        ) from error  # fmt: skip


def _as_dict(gguf: Gguf) -> dict[str, Any]:
    metadata = gguf.metadata
    architecture = str(metadata.get("general.architecture", ""))
    own = {
        key.removeprefix(f"{architecture}."): _shortest(value)
        for key, value in metadata.items()
        if key.startswith(f"{architecture}.")
    }
    raw: dict[str, Any] = {key: own[name] for key, name in _KEYS.items() if name in own}
    if "feed_forward_length" in own:  # Ollama's first files have only this one
        raw.setdefault("intermediate_size", own["feed_forward_length"])
    tokens = metadata.get("tokenizer.ggml.tokens")
    raw["vocab_size"] = tokens.count if isinstance(tokens, GgufArray) else own.get("vocab_size")
    raw["model_type"] = "gpt_oss" if architecture in ARCHITECTURES else architecture
    raw["rope_scaling"] = _rope(own)
    raw["layer_types"] = _layer_types(gguf, own, architecture)
    if raw["vocab_size"] != O200K_VOCAB:  # else the published ones: a GGUF file may name one of three
        raw["eos_token_id"] = _ends_of_text(gguf) or None
    if _experts_are_mxfp4(gguf):
        raw["quantization_config"] = {"quant_method": "mxfp4"}
    _refuse_other_rotations(own, raw)
    return raw


def _shortest(value: object) -> object:
    """A float32 as the decimal it was written from, 1e-05 and not 9.999999747378752e-06."""
    if not isinstance(value, float):
        return value
    decimals = (float(f"{value:.{digits}g}") for digits in range(6, 10))
    return next((x for x in decimals if _FLOAT.pack(x) == _FLOAT.pack(value)), value)


def _rope(own: dict[str, Any]) -> dict[str, Any] | None:
    """YaRN where a factor is named; a key of unknown effect is passed on, to be refused by its name."""
    given = {
        key.removeprefix("rope.scaling."): x for key, x in own.items() if key.startswith("rope.scaling.")
    }
    if "factor" not in given or given.get("type") == "none":
        return None
    rope: dict[str, Any] = {"rope_type": "yarn", "truncate": False}
    for key, value in given.items():
        if value not in _ROPE_NEUTRAL.get(key, ()):
            rope[_ROPE_KEYS.get(key, key)] = value
    return rope


def _layer_types(gguf: Gguf, own: dict[str, Any], architecture: str) -> list[str] | None:
    """None means the published alternation, which is what a pattern of 2 says too."""
    key = "attention.sliding_window_pattern"
    if isinstance(own.get(key), GgufArray):
        slides = gguf.values(f"{architecture}.{key}")
        return ["sliding_attention" if x else "full_attention" for x in slides]
    return None if own.get(key, 2) == 2 else [f"sliding_window_pattern {own[key]}"]


def _ends_of_text(gguf: Gguf) -> list[int]:
    names = ("eos_token_id", "eot_token_id", "eom_token_id")
    ids = [gguf.metadata.get(f"tokenizer.ggml.{name}") for name in names]
    ids += gguf.values("tokenizer.ggml.eos_token_ids")
    return list(dict.fromkeys(i for i in ids if isinstance(i, int)))


def _experts_are_mxfp4(gguf: Gguf) -> bool:
    """By the first down projection; a file without any is described as published."""
    kinds = {gguf.tensor(name).kind for name in gguf.places if name.endswith("ffn_down_exps.weight")}
    return not kinds or bool(kinds & set(MXFP4))


def _refuse_other_rotations(own: dict[str, Any], raw: dict[str, Any]) -> None:
    head_dim = raw.get("head_dim")
    for key, right in (
        ("rope.dimension_count", head_dim),
        ("attention.value_length", head_dim),
        ("rope.freq_base_swa", raw.get("rope_theta")),
    ):
        if own.get(key, right) != right:
            raise ConfigError(
                f"config.json has {key} = {own[key]!r}, where gpt-oss has {right!r}",
                value=own[key], limit=right,
            )  # fmt: skip
