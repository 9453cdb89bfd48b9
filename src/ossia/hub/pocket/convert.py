"""Makes the pocket checkpoint: the base, converted, with the adapter added, in gpt-oss's published form.

Eight experts of 192 channels are slices of the base's one feed-forward layer; a zero router and top-8 give
each the weight 1/8, which `down` makes good for. Sinks of −100 and a window as long as the context do
nothing. The numbers stay those of the base as far as bfloat16 and MXFP4 allow (`docs/pocket.md` has the
figures).
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.hub.cache import require_disk, staged_folder
from ossia.hub.pocket.adapter import Adapter, packaged_adapter
from ossia.hub.pocket.gguf import GgufFile, read_gguf
from ossia.hub.pocket.layout import Base, ProjectionName
from ossia.hub.pocket.mxfp4 import to_mxfp4
from ossia.hub.pocket.safetensors_file import Stored, write_tensors
from ossia.hub.pocket.vocabulary import ENDOFTEXT, MARKERS, STOP_IDS, tokenizer_json
from ossia.hub.progress import Progress, silent

NUM_EXPERTS = 8
SINK = -100.0  # exp(−100) is nothing beside any real key
SWIGLU_LIMIT = 7.0
_STEP = "converting pocket"
_UNQUANTISED = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]


class _Tensors:
    """Collects tensors by name, as the checkpoint stores them (`exact`: all float32, nothing rounded)."""

    def __init__(self, exact: bool) -> None:
        self.found: dict[str, Stored] = {}
        self._exact = exact

    def dense(self, name: str, values: NDArray[np.float32]) -> None:
        self.found[name] = Stored.of(values, "F32" if self._exact else "BF16")

    def experts(self, name: str, weights: NDArray[np.float32]) -> None:
        """weights (E, out, in): MXFP4 blocks and scales; exact ones (E, in, out), as transformers has it."""
        if self._exact:
            self.found[name] = Stored.of(weights.transpose(0, 2, 1), "F32")
            return
        blocks, scales = to_mxfp4(weights)
        self.found[f"{name}_blocks"] = Stored.of(blocks, "U8")
        self.found[f"{name}_scales"] = Stored.of(scales, "U8")


def convert_pocket(
    base: Path, destination: Path, *, progress: Progress | None = None, adapter: Adapter | None = None
) -> None:
    """Write the checkpoint made of the GGUF file `base` to the folder `destination`, whole or not at all.

    `adapter` is the packaged one where not given. Raises CheckpointError for a base that is truncated or of
    another shape, DiskSpaceError when the disk is too small or fills up; nothing half-written stays.
    """
    report = progress or silent
    source = read_gguf(base)
    adapter = adapter or packaged_adapter()
    tensors = build_tensors(source, adapter, report)
    size = sum(tensor.data.nbytes for tensor in tensors.values())
    require_disk(destination, size, "the pocket checkpoint")
    with staged_folder(destination) as folder:
        for name, text in _texts(source, adapted=adapter is not None).items():
            (folder / name).write_text(text, encoding="utf-8")
        write_tensors(folder / "model.safetensors", tensors)
    report(_STEP, size, size)


def build_tensors(
    source: GgufFile, adapter: Adapter | None, report: Progress, *, exact: bool = False
) -> dict[str, Stored]:
    """The checkpoint's tensors by Hugging Face name.

    `exact` keeps all of them in float32 and the experts unquantised, to compare the conversion with its base.
    """
    base = Base(source, adapter.channels if adapter else None)
    _check(base)
    table = base.embedding()
    if adapter:
        _check_fit(adapter, table.shape[1])
    tensors = _Tensors(exact)
    for name, key in (("model.embed_tokens.weight", "marker_embedding"), ("lm_head.weight", "marker_head")):
        rows = table.copy()
        if adapter:
            rows[list(base.marker_ids)] = adapter.get(key)
        tensors.dense(name, rows)
    tensors.dense("model.norm.weight", adapter.get("final_norm") if adapter else base.final_norm())
    for layer in range(base.num_layers):
        report(_STEP, layer, base.num_layers)
        _Layer(base, adapter, layer).write(tensors)
    return tensors.found


def _check_fit(adapter: Adapter, width: int) -> None:
    found = adapter.get("marker_embedding").shape[1]
    if found != width:
        raise CheckpointError(
            f"the adapter was trained for a base of width {found}, this one has {width}",
            value=width,
            limit=found,
            remedy="Give the base that pocket is made of: ossia pull pocket fetches it.",
        )


class _Layer:
    """One decoder layer, converted and merged."""

    def __init__(self, base: Base, adapter: Adapter | None, layer: int) -> None:
        self._base, self._adapter, self._layer = base, adapter, layer

    def _weight(self, name: ProjectionName) -> NDArray[np.float32]:
        weight = self._base.projection(self._layer, name)
        return weight + self._adapter.added(self._layer, name) if self._adapter else weight

    def _bias(self, name: ProjectionName, size: int) -> NDArray[np.float32]:
        return (
            self._adapter.get(f"layers.{self._layer}.{name}.bias")
            if self._adapter
            else np.zeros(size, np.float32)
        )

    def write(self, out: _Tensors) -> None:
        prefix = f"model.layers.{self._layer}"
        for name in ("attention", "mlp"):
            kept = self._adapter.get(f"layers.{self._layer}.{name}_norm") if self._adapter else None
            norm = self._base.norm(self._layer, name) if kept is None else kept
            stored = "input_layernorm" if name == "attention" else "post_attention_layernorm"
            out.dense(f"{prefix}.{stored}.weight", norm)
        for name in ("q", "k", "v", "o"):
            weight = self._weight(name)
            out.dense(f"{prefix}.self_attn.{name}_proj.weight", weight)
            out.dense(f"{prefix}.self_attn.{name}_proj.bias", self._bias(name, len(weight)))
        out.dense(f"{prefix}.self_attn.sinks", np.full(self._base.num_heads, SINK, np.float32))
        out.dense(f"{prefix}.mlp.router.weight", np.zeros((NUM_EXPERTS, self._base.hidden_size), np.float32))
        out.dense(f"{prefix}.mlp.router.bias", np.zeros(NUM_EXPERTS, np.float32))
        self._write_experts(f"{prefix}.mlp.experts", out)

    def _write_experts(self, prefix: str, out: _Tensors) -> None:
        hidden, inner = self._base.hidden_size, self._base.intermediate_size
        each = inner // NUM_EXPERTS
        # Rows of gate_up alternate: even ones gate, odd ones up.
        rows = np.stack((self._weight("gate"), self._weight("up")), axis=1).reshape(
            NUM_EXPERTS, 2 * each, hidden
        )
        bias = np.stack((self._bias("gate", inner), self._bias("up", inner) - 1), axis=1)
        down = self._weight("down").reshape(hidden, NUM_EXPERTS, each).transpose(1, 0, 2) * np.float32(
            NUM_EXPERTS
        )
        out.experts(f"{prefix}.gate_up_proj", rows)
        out.experts(f"{prefix}.down_proj", down)
        out.dense(f"{prefix}.gate_up_proj_bias", bias.reshape(NUM_EXPERTS, 2 * each))
        # Each expert adds an eighth of its bias, so each carries all of it.
        out.dense(f"{prefix}.down_proj_bias", np.tile(self._bias("down", hidden), (NUM_EXPERTS, 1)))


def _check(base: Base) -> None:
    each = base.intermediate_size // NUM_EXPERTS
    if base.intermediate_size % NUM_EXPERTS or each % 32 or base.hidden_size % 32:
        raise CheckpointError(
            "the base's feed-forward layer cannot be cut into eight MXFP4 experts",
            value=base.intermediate_size,
            limit=f"multiples of {NUM_EXPERTS * 32}",
            remedy="Use the base that `ossia pull pocket` fetches.",
        )


def config_of(source: GgufFile) -> dict[str, Any]:
    """The checkpoint's config.json."""
    base = Base(source)
    kinds = ("sliding_attention", "full_attention")
    return {
        "architectures": ["GptOssForCausalLM"],
        "attention_bias": True,
        "attention_dropout": 0.0,
        "bos_token_id": MARKERS["<|startoftext|>"],
        "eos_token_id": MARKERS["<|return|>"],
        "head_dim": base.head_dim,
        "hidden_act": "silu",
        "hidden_size": base.hidden_size,
        "initial_context_length": base.context_length,
        "initializer_range": 0.02,
        "intermediate_size": base.intermediate_size // NUM_EXPERTS,
        "layer_types": [kinds[layer % 2] for layer in range(base.num_layers)],
        "max_position_embeddings": base.context_length,
        "model_type": "gpt_oss",
        "num_attention_heads": base.num_heads,
        "num_experts_per_tok": NUM_EXPERTS,
        "num_hidden_layers": base.num_layers,
        "num_key_value_heads": base.num_kv_heads,
        "num_local_experts": NUM_EXPERTS,
        "output_router_logits": False,
        "pad_token_id": ENDOFTEXT,
        "quantization_config": {"modules_to_not_convert": _UNQUANTISED, "quant_method": "mxfp4"},
        "rms_norm_eps": base.eps,
        "rope_scaling": {
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "factor": 1.0,
            "original_max_position_embeddings": base.context_length,
            "rope_type": "yarn",
            "truncate": False,
        },
        "rope_theta": base.rope_theta,
        "router_aux_loss_coef": 0.9,
        "sliding_window": base.context_length,
        "swiglu_limit": SWIGLU_LIMIT,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "vocab_size": base.vocab_size,
    }


def _texts(source: GgufFile, *, adapted: bool) -> dict[str, str]:
    """The checkpoint's small files."""
    config = config_of(source)
    generation = {
        "bos_token_id": config["bos_token_id"],
        "do_sample": True,
        "eos_token_id": list(STOP_IDS),
        "pad_token_id": ENDOFTEXT,
    }
    tokenizer = {
        "bos_token": "<|startoftext|>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|return|>",
        "model_max_length": config["max_position_embeddings"],
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    found = {"config.json": config, "generation_config.json": generation, "tokenizer_config.json": tokenizer}
    texts = {name: json.dumps(value, indent=2) + "\n" for name, value in found.items()}
    notice = (files("ossia.hub.pocket") / "data" / "NOTICE").read_text(encoding="utf-8")
    return {**texts, "tokenizer.json": tokenizer_json(source), **({"NOTICE": notice} if adapted else {})}
