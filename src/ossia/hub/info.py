"""What a model is and what running it takes: read from its config, never from its weights.

A GGUF file is described from its own metadata, although this version does not load it.
"""

import struct
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

import psutil

from ossia.errors import CheckpointError
from ossia.hub.load import Fit, fit
from ossia.hub.sources import FoundModel, locate
from ossia.model.config import ModelConfig, config_from_dict, load_config
from ossia.model.plan import MemoryPlan, ParameterCount, count_parameters, memory_plan
from ossia.settings import Numerics, Settings, load_settings

CONTEXT = 8192  # tokens a plan assumes where no context is asked for
_GGUF_KEYS = {
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
    "rope_scaling_factor": "rope.scaling.factor",
    "initial_context_length": "rope.scaling.original_context_length",
}
_GGUF_STRING, _GGUF_ARRAY = 8, 9
_GGUF_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model's shape, parameters and memory plan; `context` and `sequences` are what the plan is for.

    `available_bytes` is the memory this machine could give a new program now; `fit` compares the two.
    """

    model: FoundModel
    architecture: str
    config: ModelConfig
    quantization: str
    parameters: ParameterCount
    numerics: Numerics
    context: int
    sequences: int
    memory: MemoryPlan
    available_bytes: int
    fit: Fit


def describe(
    name: str,
    *,
    settings: Settings | None = None,
    numerics: Numerics | None = None,
    context: int | None = None,
    sequences: int = 1,
) -> ModelInfo:
    """Describe the model called `name`, planning for `sequences` of `context` tokens (None: 8,192 or less).

    Raises ModelNotFoundError when it is not here, ConfigError for an architecture Ossia does not know,
    CheckpointError for an unreadable GGUF file.
    """
    settings = settings or load_settings()
    model = locate(name, settings)
    config = config_of(model)
    numerics = numerics or settings.numerics
    context = min(context or CONTEXT, config.max_position_embeddings)
    plan = memory_plan(config, numerics, context, sequences)
    available = psutil.virtual_memory().available
    return ModelInfo(
        model=model,
        architecture="gpt_oss",
        config=config,
        quantization="mxfp4 experts" if config.quantization == "mxfp4" else "none",
        parameters=count_parameters(config),
        numerics=numerics,
        context=context,
        sequences=sequences,
        memory=plan,
        available_bytes=available,
        fit=fit(plan, config, available),
    )


def config_of(model: FoundModel) -> ModelConfig:
    """The config of a model in either format; raises ConfigError, CheckpointError for a broken GGUF file."""
    return _gguf_config(model.path) if model.format == "gguf" else load_config(model.path)


def _gguf_config(path: Path) -> ModelConfig:
    metadata = _gguf_metadata(path)
    prefix = str(metadata.get("general.architecture", ""))
    raw: dict[str, Any] = {
        key: metadata[f"{prefix}.{name}"]
        for key, name in _GGUF_KEYS.items()
        if f"{prefix}.{name}" in metadata
    }
    if vocab := metadata.get("tokenizer.ggml.tokens"):
        raw["vocab_size"] = vocab
    raw["model_type"] = "gpt_oss" if prefix in ("gpt-oss", "gptoss") else prefix
    raw["quantization_config"] = {"quant_method": "mxfp4"}
    return config_from_dict(raw)


def _gguf_metadata(path: Path) -> dict[str, Any]:
    """A GGUF file's keys: numbers and strings as they are, of an array only its length.

    The vocabulary's 200,000 strings are walked over, not made: the `gguf` package takes seconds for them.
    """
    try:
        with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            magic, version, _, num_keys = struct.unpack_from("<4sIQQ", data)
            if magic != b"GGUF" or version < 2:
                raise ValueError("it does not begin like one")
            metadata: dict[str, Any] = {}
            at = 24
            for _ in range(num_keys):
                key, at = _gguf_value(data, at, _GGUF_STRING)
                (kind,) = struct.unpack_from("<I", data, at)
                metadata[key], at = _gguf_value(data, at + 4, kind)
            return metadata
    except (OSError, ValueError, OverflowError, struct.error) as error:
        raise CheckpointError(
            f"{path.name} is not a whole GGUF file: {error}",
            value=str(path),
            limit="GGUF",
            remedy="Fetch it again with the program it came from.",
        ) from error


def _gguf_value(data: mmap, at: int, kind: int) -> tuple[Any, int]:
    """(value, position after it); raises ValueError, OverflowError or struct.error past the end."""
    if kind == _GGUF_STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        if at + 8 + length > len(data):
            raise ValueError("it ends inside a string")
        return data[at + 8 : at + 8 + length].decode("utf-8", "replace"), at + 8 + length
    if kind == _GGUF_ARRAY:
        item, count = struct.unpack_from("<IQ", data, at)
        return count, _gguf_skip(data, at + 12, item, count)
    if kind not in _GGUF_SCALARS:
        raise ValueError(f"it has a value of type {kind}")
    (value,) = struct.unpack_from(_GGUF_SCALARS[kind], data, at)
    return value, at + struct.calcsize(_GGUF_SCALARS[kind])


def _gguf_skip(data: mmap, at: int, item: int, count: int) -> int:
    """The position after an array's items."""
    if item in _GGUF_SCALARS:
        return at + count * struct.calcsize(_GGUF_SCALARS[item])
    for _ in range(count):
        if item != _GGUF_STRING:
            raise ValueError(f"it has an array of type {item}")
        at += 8 + struct.unpack_from("<Q", data, at)[0]
    return at
