"""Where a GGUF file keeps gpt-oss's tensors: llama.cpp's names, and those of Ollama's first files.

llama.cpp (architecture "gpt-oss") splits what OpenAI published fused: q, k, v, and each expert's gate and up
rows, which alternate in the published matrix. Ollama's first files ("gptoss") keep them fused, under
names of their own. Which is there is decided tensor by tensor, since files of both kinds in between exist.
Sources: conversion/gpt_oss.py of ggml-org/llama.cpp; convert/convert_gptoss.go of ollama/ollama.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from ossia.model.config import ModelConfig

# Types we read, for what is multiplied or added, and for experts as published.
VALUES = ("BF16", "F16", "F32", "Q8_0")
SMALL = ("BF16", "F16", "F32")
MXFP4 = ("MXFP4", "MXFP4-HF")


@dataclass(frozen=True, slots=True)
class GgufPlace:
    """Our tensor `name` of `shape`, rows per output: rows `first` on of one stored tensor, or of several
    stored ones whose rows (axis 1: the first is the expert) alternate. `stored_shape` is each one's own."""

    name: str
    stored: tuple[str, ...]
    shape: tuple[int, ...]
    kinds: tuple[str, ...]
    first: int
    stored_shape: tuple[int, ...]


def gguf_table(config: ModelConfig, found: Collection[str]) -> dict[str, GgufPlace]:
    """Every tensor the model needs, by our name, where `found` keeps it (else under llama.cpp's name)."""
    places = [*_ends(config)]
    for layer in range(config.num_hidden_layers):
        places += _layer(config, layer, found)
    return {place.name: place for place in places}


def _ends(c: ModelConfig) -> Iterator[GgufPlace]:
    matrix = (c.vocab_size, c.hidden_size)
    yield GgufPlace("model.embed_tokens.weight", ("token_embd.weight",), matrix, VALUES, 0, matrix)
    norm = (c.hidden_size,)
    yield GgufPlace("model.norm.weight", ("output_norm.weight",), norm, SMALL, 0, norm)
    yield GgufPlace("lm_head.weight", ("output.weight",), matrix, VALUES, 0, matrix)


def _layer(c: ModelConfig, layer: int, found: Collection[str]) -> Iterator[GgufPlace]:
    ours, theirs = f"model.layers.{layer}.", f"blk.{layer}."
    h, q, e = c.hidden_size, c.num_attention_heads * c.head_dim, c.num_local_experts
    for name, candidates, shape in (
        ("input_layernorm.weight", ("attn_norm.weight",), (h,)),
        ("self_attn.o_proj.weight", ("attn_output.weight", "attn_out.weight"), (h, q)),
        ("self_attn.o_proj.bias", ("attn_output.bias", "attn_out.bias"), (h,)),
        ("self_attn.sinks", ("attn_sinks.weight", "attn_sinks"), (c.num_attention_heads,)),
        ("post_attention_layernorm.weight", ("post_attention_norm.weight", "ffn_norm.weight"), (h,)),
        ("mlp.router.weight", ("ffn_gate_inp.weight",), (e, h)),
        ("mlp.router.bias", ("ffn_gate_inp.bias",), (e,)),
    ):
        stored = next((theirs + x for x in candidates if theirs + x in found), theirs + candidates[0])
        kinds = VALUES if name.endswith("proj.weight") else SMALL
        yield GgufPlace(ours + name, (stored,), shape, kinds, 0, shape)
    yield from _attention_inputs(c, ours + "self_attn.", theirs, found)
    yield from _experts(c, ours + "mlp.experts.", theirs, found)


def _attention_inputs(c: ModelConfig, ours: str, theirs: str, found: Collection[str]) -> Iterator[GgufPlace]:
    q, kv = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    for part, row, kinds in (("weight", (c.hidden_size,), VALUES), ("bias", (), SMALL)):
        fused = f"{theirs}attn_qkv.{part}"
        for letter, first, rows in (("q", 0, q), ("k", q, kv), ("v", q + kv, kv)):
            name, own = f"{ours}{letter}_proj.{part}", f"{theirs}attn_{letter}.{part}"
            if fused in found:
                yield GgufPlace(name, (fused,), (rows, *row), kinds, first, (c.qkv_size, *row))
            else:
                yield GgufPlace(name, (own,), (rows, *row), kinds, 0, (rows, *row))


def _experts(c: ModelConfig, ours: str, theirs: str, found: Collection[str]) -> Iterator[GgufPlace]:
    e, f, h = c.num_local_experts, c.intermediate_size, c.hidden_size
    weights = MXFP4 if c.quantization == "mxfp4" else VALUES
    for part, suffix, into, out, kinds in (
        ("weight", "", (h,), (f,), weights),
        ("bias", "_bias", (), (), SMALL),
    ):
        fused = f"{theirs}ffn_gate_up_exps.{part}"
        split = tuple(f"{theirs}ffn_{x}_exps.{part}" for x in ("gate", "up"))
        stored, rows = ((fused,), 2 * f) if fused in found else (split, f)
        yield GgufPlace(f"{ours}gate_up_proj{suffix}", stored, (e, 2 * f, *into), kinds, 0, (e, rows, *into))
        down = (e, h, *out)
        yield GgufPlace(f"{ours}down_proj{suffix}", (f"{theirs}ffn_down_exps.{part}",), down, kinds, 0, down)
