"""Writes a checkpoint of the published layout (MXFP4 experts) as a GGUF file for llama.cpp: the same weights.

`python bench/gguf_of.py CHECKPOINT OUT.gguf`. Experts keep their values exactly (MXFP4 in GGUF's order of
nibbles), the other matrices become Q8_0 as in the published GGUF, vectors float32. Meant for synthetic
checkpoints: the vocabulary is o200k_harmony's without merges, so prompts must be token ids. Needs `gguf`.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf.quants import quantize
from numpy.typing import NDArray

from ossia.model.checkpoint import Checkpoint, as_float32, open_checkpoint
from ossia.model.config import ModelConfig, load_config
from ossia.tokenizer import load_o200k_harmony
from ossia.tokenizer.checkpoint import byte_of_character

ROWS = 4096  # rows of a dense matrix that are float32 at once


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file: its shape as numpy says it, its type, its bytes, and how to make them."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    make: Callable[[], NDArray[Any]]

    @property
    def size_bytes(self) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.kind]
        return int(np.prod(self.shape)) // block * size


def tensors(ckpt: Checkpoint, c: ModelConfig) -> Iterator[Tensor]:
    yield dense(ckpt, "token_embd.weight", "model.embed_tokens.weight")
    yield vector(ckpt, "output_norm.weight", "model.norm.weight")
    yield dense(ckpt, "output.weight", "lm_head.weight")
    for layer in range(c.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}.", f"blk.{layer}."
        yield vector(ckpt, theirs + "attn_norm.weight", ours + "input_layernorm.weight")
        yield vector(ckpt, theirs + "post_attention_norm.weight", ours + "post_attention_layernorm.weight")
        yield vector(ckpt, theirs + "attn_sinks.weight", ours + "self_attn.sinks")
        for name in "qkvo":
            part = "attn_output" if name == "o" else f"attn_{name}"
            yield dense(ckpt, f"{theirs}{part}.weight", f"{ours}self_attn.{name}_proj.weight")
            yield vector(ckpt, f"{theirs}{part}.bias", f"{ours}self_attn.{name}_proj.bias")
        yield vector(ckpt, theirs + "ffn_gate_inp.weight", ours + "mlp.router.weight")
        yield vector(ckpt, theirs + "ffn_gate_inp.bias", ours + "mlp.router.bias")
        experts = ours + "mlp.experts."
        for name, stored, rows in (
            ("gate", "gate_up_proj", slice(0, None, 2)),
            ("up", "gate_up_proj", slice(1, None, 2)),
            ("down", "down_proj", slice(None)),
        ):
            yield packed(ckpt, f"{theirs}ffn_{name}_exps.weight", experts + stored, rows)
            yield vector(ckpt, f"{theirs}ffn_{name}_exps.bias", experts + stored + "_bias", rows)


def vector(ckpt: Checkpoint, name: str, stored: str, rows: slice = slice(None)) -> Tensor:
    """Float32, whatever the rank; `rows` of the last axis."""
    values = ckpt.array(stored)[..., rows] if rows != slice(None) else ckpt.array(stored)
    return Tensor(name, values.shape, Kind.F32, lambda: np.ascontiguousarray(as_float32(values)))


def dense(ckpt: Checkpoint, name: str, stored: str) -> Tensor:
    values = ckpt.array(stored)

    def make() -> NDArray[np.uint8]:
        parts = (as_float32(values[i : i + ROWS]) for i in range(0, len(values), ROWS))
        return np.concatenate([quantize(part, Kind.Q8_0) for part in parts])

    return Tensor(name, values.shape, Kind.Q8_0, make)


def packed(ckpt: Checkpoint, name: str, stored: str, rows: slice) -> Tensor:
    """MXFP4: a scale byte, then 16 bytes whose low nibbles are elements 0 to 15 and high ones 16 to 31."""
    blocks, scales = ckpt.array(stored + "_blocks")[:, rows], ckpt.array(stored + "_scales")[:, rows]
    experts, count, width, _ = blocks.shape

    def make() -> NDArray[np.uint8]:
        out = np.empty((experts, count, width, 17), np.uint8)
        out[..., 0] = scales
        for e in range(experts):
            part = blocks[e]  # byte i holds elements 2i (low) and 2i + 1 (high)
            first, second = part[..., :8], part[..., 8:]
            out[e, ..., 1::2] = (first & 15) | (second << 4)
            out[e, ..., 2::2] = (first >> 4) | (second & 0xF0)
        return out.reshape(experts, count, -1)

    return Tensor(name, (experts, count, 32 * width), Kind.MXFP4, make)


def describe(writer: gguf.GGUFWriter, c: ModelConfig) -> None:
    writer.add_type("model")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_expert_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_expert_count(c.num_local_experts)
    writer.add_expert_used_count(c.num_experts_per_tok)
    writer.add_sliding_window(c.sliding_window)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_freq_base(c.rope.theta)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(c.rope.factor)
    writer.add_rope_scaling_orig_ctx_len(c.rope.original_max_position_embeddings)
    writer.add_vocab_size(c.vocab_size)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def add_vocabulary(writer: gguf.GGUFWriter, c: ModelConfig) -> None:
    tok = load_o200k_harmony()
    letters = {byte: character for character, byte in byte_of_character().items()}
    names = {number: name for name, number in tok.special_tokens.items()}
    pieces: list[str] = []
    for number in range(c.vocab_size):
        plain = number < min(names)
        piece = "".join(letters[byte] for byte in tok.decode_bytes([number])) if plain else ""
        pieces.append(piece or names.get(number, f"<|reserved_{number}|>"))
    types = [gguf.TokenType.NORMAL if i < min(names) else gguf.TokenType.CONTROL for i in range(c.vocab_size)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-4o")
    writer.add_token_list(pieces)
    writer.add_token_types([int(kind) for kind in types])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(tok.special_tokens["<|startoftext|>"])
    writer.add_eos_token_id(tok.special_tokens["<|return|>"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    config = load_config(options.checkpoint)
    checkpoint = open_checkpoint(options.checkpoint, config)
    writer = gguf.GGUFWriter(str(options.out), "gpt-oss")
    describe(writer, config)
    add_vocabulary(writer, config)
    wanted = list(tensors(checkpoint, config))
    for t in wanted:
        # A quantised tensor's shape is given in bytes.
        shape = t.shape
        if t.kind != Kind.F32:
            block, size = gguf.GGML_QUANT_SIZES[t.kind]
            shape = (*t.shape[:-1], t.shape[-1] // block * size)
        dtype = np.dtype(np.float32 if t.kind == Kind.F32 else np.uint8)
        writer.add_tensor_info(t.name, shape, dtype, t.size_bytes, None if t.kind == Kind.F32 else t.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for i, t in enumerate(wanted):
        print(f"\r{i + 1}/{len(wanted)} {t.name:40}", end="", flush=True)
        writer.write_tensor_data(t.make())
    writer.close()
    print(f"\n{options.out}: {options.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
