"""What a model is and what running it takes: read from its config or a GGUF's metadata, never its weights."""

from dataclasses import dataclass

from ossia.hub.sources import FoundModel, locate
from ossia.model.checkpoint import read_config
from ossia.model.config import ModelConfig
from ossia.model.kv_cache import kv_kind
from ossia.model.memory.available import available_memory
from ossia.model.memory.fit import Fit, fit
from ossia.model.plan import MemoryPlan, ParameterCount, count_parameters, memory_plan
from ossia.settings import KVKind, Numerics, Settings, load_settings

CONTEXT = 8192  # tokens a plan assumes where no context is asked for


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
    kv_cache: KVKind
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
    kind = kv_kind(numerics, settings.kv_cache)
    plan = memory_plan(config, numerics, context, sequences, kv_cache=kind)
    available = available_memory()
    return ModelInfo(
        model=model,
        architecture="gpt_oss",
        config=config,
        quantization="mxfp4 experts" if config.quantization == "mxfp4" else "none",
        parameters=count_parameters(config),
        numerics=numerics,
        kv_cache=kind,
        context=context,
        sequences=sequences,
        memory=plan,
        available_bytes=available,
        fit=fit(plan, config, available, mapped=model.mapped),
    )


def config_of(model: FoundModel) -> ModelConfig:
    """The config of a model in either format; raises ConfigError, CheckpointError for a broken GGUF file."""
    return read_config(model.path)
