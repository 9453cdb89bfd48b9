"""The models that are here, as Ollama's clients list them: tags, details, what is in memory."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ossia.model.config import ModelConfig
from ossia.model.plan import count_parameters
from ossia.server.models.entry import ModelEntry
from ossia.server.ollama.spelling import spelled

ARCHITECTURE = "gptoss"
CAPABILITIES = ("completion", "tools", "thinking")
_FOREVER = datetime(2318, 1, 1, tzinfo=UTC)  # what stays is said to leave far from now, as Ollama says it
_TEMPLATE = "{{- /* Harmony: rendered token by token, not by a template */ -}}"


def tag(entry: ModelEntry) -> dict[str, Any]:
    """One line of /api/tags."""
    return {
        **_identity(entry),
        "modified_at": _time(datetime.fromtimestamp(entry.created, UTC)),
        "capabilities": list(CAPABILITIES),
    }


def process(entry: ModelEntry) -> dict[str, Any]:
    """One line of /api/ps: a model in memory."""
    leaves = _FOREVER if entry.expires_at is None else datetime.fromtimestamp(entry.expires_at, UTC)
    return {
        **_identity(entry),
        "expires_at": _time(leaves),
        "size_vram": 0,
        "context_length": entry.context_length or 0,
    }


def description(entry: ModelEntry) -> dict[str, Any]:
    """The answer of /api/show."""
    return {
        "modelfile": f"FROM {spelled(entry.name)}\n",
        "parameters": "",
        "template": _TEMPLATE,
        "details": _details(entry),
        "model_info": _info(entry),
        "capabilities": list(CAPABILITIES),
        "modified_at": _time(datetime.fromtimestamp(entry.created, UTC)),
    }


def _identity(entry: ModelEntry) -> dict[str, Any]:
    name = spelled(entry.name)
    return {
        "name": name,
        "model": name,
        "size": entry.size_bytes,
        "digest": _digest(entry),
        "details": _details(entry),
    }


def _digest(entry: ModelEntry) -> str:
    """Of what tells this copy from another, not of its gigabytes."""
    return hashlib.sha256(repr((entry.name, entry.size_bytes, entry.created)).encode()).hexdigest()


def _details(entry: ModelEntry) -> dict[str, Any]:
    """What is not known is empty, as Ollama has it."""
    config = entry.config
    return {
        "parent_model": "",
        "format": entry.format,
        "family": ARCHITECTURE,
        "families": [ARCHITECTURE],
        "parameter_size": "" if config is None else _human(count_parameters(config).total),
        "quantization_level": "" if config is None else _quantization(config),
    }


def _quantization(config: ModelConfig) -> str:
    return "MXFP4" if config.quantization == "mxfp4" else "BF16"


def _human(count: int) -> str:
    """Parameters as Ollama writes them: 20.9B, 135M."""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= size:
            return f"{count / size:.1f}".removesuffix(".0") + unit
    return str(count)


def _info(entry: ModelEntry) -> Mapping[str, Any]:
    """The keys of a GGUF file's metadata, as far as they are known."""
    short = entry.name.rsplit("/", 1)[-1]
    told: dict[str, Any] = {"general.architecture": ARCHITECTURE, "general.basename": short}
    if entry.context_length is not None:
        told[f"{ARCHITECTURE}.context_length"] = entry.context_length
    return told if entry.config is None else told | _shape(entry.config)


def _shape(config: ModelConfig) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "expert_count": config.num_local_experts,
        "expert_used_count": config.num_experts_per_tok,
        "attention.head_count": config.num_attention_heads,
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.sliding_window": config.sliding_window,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": config.rope.theta,
        "rope.scaling.factor": config.rope.factor,
        "rope.scaling.original_context_length": config.rope.original_max_position_embeddings,
    }
    total = {"general.parameter_count": count_parameters(config).total}
    return total | {f"{ARCHITECTURE}.{key}": value for key, value in shape.items()}


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
