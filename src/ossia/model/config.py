"""A checkpoint's config.json as one frozen value, whichever of its three shapes it has.

- published: `rope_scaling` beside `rope_theta`, `swiglu_alpha` left out;
- transformers 5: both ropes in `rope_parameters`, `swiglu_alpha` written;
- original/: `num_experts`, `experts_per_token`, `rope_scaling_factor`, `rope_ntk_alpha` (YaRN's slow beta),
  `rope_ntk_beta` (the fast one), `initial_context_length`.

A key that changes the mathematics is read. One known not to is skipped. Any other draws an
`UnknownConfigKey` warning, since a checkpoint may mean something by it.
"""

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ossia.errors import ConfigError

LayerType = Literal["sliding_attention", "full_attention"]
Quantization = Literal["mxfp4", "none"]

# Published as generation_config.json's eos_token_id; used where neither file names any.
O200K_EOS = (200002, 199999, 200012)
O200K_VOCAB = 201088

_ALIASES = {
    "num_experts": "num_local_experts",
    "experts_per_token": "num_experts_per_tok",
    "rope_parameters": "rope_scaling",
}
_READ = {
    "attention_bias", "eos_token_id", "head_dim", "hidden_act", "hidden_size", "initial_context_length",
    "intermediate_size", "layer_types", "max_position_embeddings", "model_type", "num_attention_heads",
    "num_experts_per_tok", "num_hidden_layers", "num_key_value_heads", "num_local_experts",
    "quantization_config", "rms_norm_eps", "rope_ntk_alpha", "rope_ntk_beta", "rope_scaling",
    "rope_scaling_factor", "rope_theta", "sliding_window", "swiglu_alpha", "swiglu_limit",
    "tie_word_embeddings", "vocab_size",
}  # fmt: skip
_IGNORED = {
    "_name_or_path", "architectures", "attention_dropout", "bos_token_id", "chunk_size_feed_forward", "dtype",
    "id2label", "initializer_range", "is_encoder_decoder", "label2id", "ossia_synthetic",
    "output_attentions", "output_hidden_states", "output_router_logits", "pad_token_id", "problem_type",
    "return_dict", "router_aux_loss_coef", "torch_dtype", "transformers_version", "use_cache",
}  # fmt: skip
_ROPE_KEYS = {
    "attention_factor", "beta_fast", "beta_slow", "factor", "original_max_position_embeddings",
    "rope_theta", "rope_type", "truncate", "type",
}  # fmt: skip


class UnknownConfigKey(UserWarning):
    """config.json has a key Ossia neither reads nor knows to be harmless."""


@dataclass(frozen=True, slots=True)
class RopeConfig:
    """Rotary embedding. `factor` 1 means plain RoPE; `truncate` rounds YaRN's ramp to whole dimensions."""

    theta: float = 150_000.0
    factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    original_max_position_embeddings: int = 4096
    truncate: bool = False
    attention_factor: float | None = None


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything the mathematics depends on; names are Hugging Face's. Values are consistent by construction.

    `quantization` says how the experts are stored. `eos_token_ids` is empty where the checkpoint names none.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    num_local_experts: int
    num_experts_per_tok: int
    intermediate_size: int
    vocab_size: int
    sliding_window: int
    layer_types: tuple[LayerType, ...]
    max_position_embeddings: int
    rope: RopeConfig
    rms_norm_eps: float = 1e-5
    swiglu_limit: float = 7.0
    swiglu_alpha: float = 1.702
    eos_token_ids: tuple[int, ...] = ()
    quantization: Quantization = "none"

    def __post_init__(self) -> None:
        _check_sizes(self)
        _check_numbers(self)

    @property
    def qkv_size(self) -> int:
        """Columns of the fused query, key and value projection: (Hq + 2 Hkv) · D."""
        return (self.num_attention_heads + 2 * self.num_key_value_heads) * self.head_dim


def load_config(folder: Path) -> ModelConfig:
    """Read `folder`/config.json, and the end-of-sequence ids of generation_config.json beside it.

    Raises ConfigError when the file is missing, is not JSON or asks for what Ossia does not know.
    """
    raw = _read_json(folder / "config.json")
    generation = folder / "generation_config.json"
    if generation.is_file() and "eos_token_id" in (extra := _read_json(generation)):
        own, named = _ids(raw.get("eos_token_id")), _ids(extra["eos_token_id"])
        raw["eos_token_id"] = list(dict.fromkeys([*own, *named]))
    return config_from_dict(raw)


def config_from_dict(raw: Mapping[str, Any]) -> ModelConfig:
    """A config.json's contents → ModelConfig; raises ConfigError, warns with UnknownConfigKey."""
    d = _one_name_each(raw)
    _refuse_other_architectures(d)
    layers = _integer(d, "num_hidden_layers")
    rope = _rope(d)
    vocab = _integer(d, "vocab_size")
    default_context = int(rope.original_max_position_embeddings * rope.factor)
    return ModelConfig(
        hidden_size=_integer(d, "hidden_size"),
        num_hidden_layers=layers,
        num_attention_heads=_integer(d, "num_attention_heads"),
        num_key_value_heads=_integer(d, "num_key_value_heads"),
        head_dim=_integer(d, "head_dim"),
        num_local_experts=_integer(d, "num_local_experts"),
        num_experts_per_tok=_integer(d, "num_experts_per_tok"),
        intermediate_size=_integer(d, "intermediate_size"),
        vocab_size=vocab,
        sliding_window=_integer(d, "sliding_window"),
        layer_types=_layer_types(d.get("layer_types"), layers),
        max_position_embeddings=_integer(d, "max_position_embeddings", default_context),
        rope=rope,
        rms_norm_eps=_number(d, "rms_norm_eps", 1e-5),
        swiglu_limit=_number(d, "swiglu_limit", 7.0),
        swiglu_alpha=_number(d, "swiglu_alpha", 1.702),
        eos_token_ids=_ids(d.get("eos_token_id")) or (O200K_EOS if vocab == O200K_VOCAB else ()),
        quantization=_quantization(d),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value: object = json.loads(path.read_bytes())
    except OSError as e:
        raise _refuse(
            f"{path.name} cannot be read from {path.parent}: {e.strerror}", path.name,
            "a model folder with config.json",
            "Give the folder that holds the model's config.json and safetensors files.",
        ) from e  # fmt: skip
    except (ValueError, RecursionError) as e:
        raise _refuse(
            f"{path.name} is not JSON: {e}", path.name, "a JSON object", "Fetch the file again."
        ) from e
    if not isinstance(value, dict):
        raise _refuse(f"{path.name} holds no object", path.name, "a JSON object", "Fetch the file again.")
    return cast(dict[str, Any], value)


def _one_name_each(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Old and new names of one thing become one; both may be there if they agree."""
    d: dict[str, Any] = {}
    for key, value in raw.items():
        name = _ALIASES.get(key, key)
        if name in d and d[name] != value and value is not None and d[name] is not None:
            raise _refuse(
                f"config.json says {name} = {d[name]!r} and {key} = {value!r}", value, d[name],
                "Both name one thing; remove the wrong one.",
            )  # fmt: skip
        if name not in d or value is not None:
            d[name] = value
        if name not in _READ and name not in _IGNORED:
            warnings.warn(
                f"config.json has {key} = {value!r}, which Ossia does not know and leaves out of account",
                UnknownConfigKey,
                stacklevel=3,
            )
    return d


def _refuse_other_architectures(d: Mapping[str, Any]) -> None:
    for key, allowed in {
        "model_type": "gpt_oss",
        "hidden_act": "silu",
        "attention_bias": True,
        "tie_word_embeddings": False,
    }.items():
        if d.get(key, allowed) != allowed:
            raise _refuse(
                f"config.json has {key} = {d[key]!r}; Ossia runs {allowed!r} only", d[key], allowed,
                "Choose a model of the gpt-oss architecture.",
            )  # fmt: skip


def _rope(d: Mapping[str, Any]) -> RopeConfig:
    theta = _number(d, "rope_theta", 150_000.0)
    scaling: object = d.get("rope_scaling")
    if scaling is None:  # original/, or plain RoPE
        factor = _number(d, "rope_scaling_factor", 1.0)
        original = _integer(d, "initial_context_length", _integer(d, "max_position_embeddings", 4096))
        slow, fast = _number(d, "rope_ntk_alpha", 1.0), _number(d, "rope_ntk_beta", 32.0)
        return RopeConfig(theta, factor, fast, slow, original)
    if not isinstance(scaling, dict):
        raise _refuse(
            f"rope_scaling is {scaling!r}", scaling, "an object", "Correct rope_scaling in config.json."
        )
    r = cast(dict[str, Any], scaling)
    for key in r.keys() - _ROPE_KEYS:
        raise _refuse(
            f"config.json's rope has {key} = {r[key]!r}, which Ossia does not implement", key,
            sorted(_ROPE_KEYS), "Choose a model whose rope is plain or YaRN by factor.",
        )  # fmt: skip
    theta = _number(r, "rope_theta", theta)
    kind: object = r.get("rope_type", r.get("type", "default"))
    if kind == "default":
        return RopeConfig(theta)
    if kind != "yarn":
        raise _refuse(
            f"config.json asks for rope of type {kind!r}", kind, ("default", "yarn"),
            "Choose a model whose rope is plain or YaRN.",
        )  # fmt: skip
    return RopeConfig(
        theta,
        factor=_number(r, "factor"),
        beta_fast=_number(r, "beta_fast", 32.0),
        beta_slow=_number(r, "beta_slow", 1.0),
        original_max_position_embeddings=_integer(r, "original_max_position_embeddings"),
        truncate=bool(r.get("truncate", True)),  # left out, transformers truncates
        attention_factor=None if r.get("attention_factor") is None else _number(r, "attention_factor"),
    )


def _layer_types(value: object, layers: int) -> tuple[LayerType, ...]:
    if value is None:  # layer 0 slides, and every second one after it
        return tuple("full_attention" if i % 2 else "sliding_attention" for i in range(layers))
    known = ("sliding_attention", "full_attention")
    types = cast(list[object], value) if isinstance(value, list) else [value]
    if any(x not in known for x in types):
        raise _refuse(
            f"layer_types is {types!r}", types, known, "Choose a model with these kinds of layers only."
        )
    return tuple(cast(list[LayerType], types))


def _quantization(d: Mapping[str, Any]) -> Quantization:
    value: object = d.get("quantization_config")
    if value is None:
        # original/ says nothing of it, and is always packed.
        return "mxfp4" if "rope_scaling_factor" in d else "none"
    method: object = cast(dict[str, Any], value).get("quant_method") if isinstance(value, dict) else value
    if method != "mxfp4":
        raise _refuse(
            f"config.json asks for quantisation {method!r}", method, "mxfp4",
            "Choose a checkpoint whose experts are MXFP4 (as published) or not quantised.",
        )  # fmt: skip
    return "mxfp4"


def _ids(value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    items = cast(list[object], value) if isinstance(value, list) else [value]
    if any(not isinstance(x, int) or isinstance(x, bool) or x < 0 for x in items):
        raise _refuse(
            f"eos_token_id is {items!r}", items, "an id or a list of ids", "Correct it in config.json."
        )
    return tuple(cast(Iterable[int], items))


def _integer(d: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value: object = d.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        raise _missing_or_wrong(key, value, "a whole number from 1 to 2147483647")
    return value


def _number(d: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value: object = d.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise _missing_or_wrong(key, value, "a positive number")
    return float(value)


def _missing_or_wrong(key: str, value: object, limit: str) -> ConfigError:
    said = f"config.json lacks {key}" if value is None else f"config.json has {key} = {value!r}"
    return _refuse(f"{said}; it must be {limit}", value, limit, "Use the model's own config.json.")


def _check_sizes(c: ModelConfig) -> None:
    for key, size in (
        ("hidden_size", c.hidden_size),
        ("intermediate_size", c.intermediate_size),
        ("num_attention_heads x head_dim", c.num_attention_heads * c.head_dim),
    ):
        if size % 32:
            raise _refuse(
                f"{key} is {size}, not a multiple of 32", size, "multiples of 32",
                "MXFP4 and the kernels work in blocks of 32; no smaller unit can be run.",
            )  # fmt: skip
    if c.head_dim % 2:
        raise _refuse(f"head_dim is {c.head_dim}", c.head_dim, "even", "RoPE rotates pairs of dimensions.")
    if c.num_attention_heads % c.num_key_value_heads:
        raise _refuse(
            f"{c.num_attention_heads} query heads cannot share {c.num_key_value_heads} key-value heads",
            c.num_key_value_heads, f"a divisor of {c.num_attention_heads}",
            "Use the model's own config.json.",
        )  # fmt: skip
    if c.num_experts_per_tok > c.num_local_experts:
        raise _refuse(
            f"{c.num_experts_per_tok} experts per token of only {c.num_local_experts}",
            c.num_experts_per_tok, c.num_local_experts, "Use the model's own config.json.",
        )  # fmt: skip
    if len(c.layer_types) != c.num_hidden_layers:
        raise _refuse(
            f"layer_types has {len(c.layer_types)} entries for {c.num_hidden_layers} layers",
            len(c.layer_types), c.num_hidden_layers, "Use the model's own config.json.",
        )  # fmt: skip


def _check_numbers(c: ModelConfig) -> None:
    outside = [i for i in c.eos_token_ids if i >= c.vocab_size]
    if outside:
        raise _refuse(
            f"end-of-sequence ids {outside} are outside a vocabulary of {c.vocab_size}", outside,
            c.vocab_size - 1, "Use the model's own config.json and generation_config.json.",
        )  # fmt: skip
    if c.rope.factor > 1 and c.rope.beta_fast <= c.rope.beta_slow:
        raise _refuse(
            f"YaRN's beta_fast {c.rope.beta_fast:g} is not above beta_slow {c.rope.beta_slow:g}",
            c.rope.beta_fast, f"above {c.rope.beta_slow:g}", "Use the model's own config.json.",
        )  # fmt: skip


def _refuse(message: str, value: object, limit: object, remedy: str) -> ConfigError:
    return ConfigError(message, value=value, limit=limit, remedy=remedy)
