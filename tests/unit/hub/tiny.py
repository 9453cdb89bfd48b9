"""A gpt-oss checkpoint small enough to be written in milliseconds: random weights, a byte vocabulary.

Its routing, sinks, window, YaRN and biases are all at work, unlike pocket's.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ossia.model.checkpoint.layouts import name_table
from ossia.model.config import config_from_dict

MARKERS = (
    "<|startoftext|>", "<|endoftext|>", "<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>",
    "<|message|>", "<|call|>",
)  # fmt: skip
CONFIG: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "vocab_size": 288,
    "sliding_window": 16,
    "max_position_embeddings": 4096,
    "rope_theta": 150000.0,
    "rope_scaling": {
        "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 128, "truncate": False,
    },
    "rms_norm_eps": 1e-5,
    "swiglu_limit": 7.0,
    "eos_token_id": 258,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip


def write_checkpoint(folder: Path, *, shards: int = 1, seed: int = 0, **changes: Any) -> Path:
    """Write a whole checkpoint into `folder` and return it; `changes` go into config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = CONFIG | changes
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    rng = np.random.default_rng(seed)
    known = {key: value for key, value in raw.items() if key != "ossia_synthetic"}
    places = name_table(config_from_dict(known), "hf").values()
    tensors = {place.stored: _random(rng, place.stored, place.shape) for place in places}
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors")
        return folder
    weight_map: dict[str, str] = {}
    for shard in range(shards):
        file = f"model-{shard:05d}-of-{shards - 1:05d}.safetensors"
        part = names[shard::shards]
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("_blocks"):
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if name.endswith("_scales"):
        return rng.integers(119, 123, shape, dtype=np.uint8)
    scale = 1.0 if name.endswith(("norm.weight", "sinks")) else 0.1
    return (rng.standard_normal(shape) * scale + ("norm" in name)).astype(np.float32)


def _tokenizer() -> dict[str, Any]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable} | {
        byte: chr(0x100 + i) for i, byte in enumerate(others)
    }
    added = [
        {"id": 256 + i, "content": text, "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
        for i, text in enumerate(MARKERS)
    ]  # fmt: skip
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": {letters[b]: b for b in range(256)}, "merges": []},
    }
