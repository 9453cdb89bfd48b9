"""What a model is and what running it takes: read from its config, never from its weights.

A GGUF file is described from its own metadata, although this version does not load it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
from gguf import GGUFReader

from ossia.errors import CheckpointError, MemoryLimitError
from ossia.hub.cache import human
from ossia.hub.sources import FoundModel, gguf_architecture, locate
from ossia.model.config import ModelConfig, config_from_dict, load_config
from ossia.model.plan import MemoryPlan, ParameterCount, count_parameters, memory_plan
from ossia.settings import Numerics, Settings, load_settings

Fit = Literal["fits", "tight", "too large"]

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
}


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


def fit(plan: MemoryPlan, config: ModelConfig, available: int) -> Fit:
    """Whether `plan` fits into `available` bytes.

    MXFP4 experts and the embedding stay mapped files whose pages the system may drop and read again. So a
    model whose own memory and half of those pages fit still runs, at the disk's pace now and then ("tight").
    """
    if plan.total <= available:
        return "fits"
    return "tight" if plan.total - _mapped(plan, config) // 2 <= available else "too large"


def require_memory(name: str, plan: MemoryPlan, config: ModelConfig) -> None:
    """Raise MemoryLimitError, before anything is loaded, when a model is too large for available memory."""
    available = psutil.virtual_memory().available
    if fit(plan, config, available) != "too large":
        return
    least = plan.total - _mapped(plan, config) // 2
    raise MemoryLimitError(
        f"{name} needs at least {human(least)} of memory ({human(plan.total)} to run well), "
        f"{human(available)} are available",
        value=least,
        limit=available,
        remedy="Close other programs, ask for a smaller context, or use a smaller model, for example pocket.",
    )


def _mapped(plan: MemoryPlan, config: ModelConfig) -> int:
    return plan.embedding + (plan.experts if config.quantization == "mxfp4" else 0)


def _gguf_config(path: Path) -> ModelConfig:
    try:
        fields = GGUFReader(path).fields
    except (ValueError, IndexError, OSError, KeyError) as error:
        raise CheckpointError(
            f"{path.name} is not a whole GGUF file: {error}",
            value=str(path),
            limit="GGUF",
            remedy="Fetch it again with the program it came from.",
        ) from error
    prefix = gguf_architecture(path)
    raw: dict[str, Any] = {
        key: fields[f"{prefix}.{name}"].contents()
        for key, name in _GGUF_KEYS.items()
        if f"{prefix}.{name}" in fields
    }
    if tokens := fields.get("tokenizer.ggml.tokens"):
        raw["vocab_size"] = len(tokens.data)
    factor, original = (
        fields.get(f"{prefix}.rope.scaling.{name}") for name in ("factor", "original_context_length")
    )
    if factor and original:
        raw["rope_scaling_factor"] = float(factor.contents())
        raw["initial_context_length"] = int(original.contents())
    raw["model_type"] = "gpt_oss" if prefix in ("gpt-oss", "gptoss") else prefix
    raw["quantization_config"] = {"quant_method": "mxfp4"}
    return config_from_dict(raw)
