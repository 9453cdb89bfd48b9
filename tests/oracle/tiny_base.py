"""A base like pocket's, but tiny: a GGUF file with random float32 weights."""

from pathlib import Path

import gguf
import numpy as np

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, LAYERS, VOCAB = 64, 256, 4, 2, 16, 3, 320


def write_base(path: Path) -> Path:
    rng = np.random.default_rng(11)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    tokens = [f"<t{index}>" for index in range(VOCAB)]
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 17 + [1] * (VOCAB - 17))
    writer.add_token_merges(["a b"])

    def add(name: str, *shape: int, spread: float = 1.0) -> None:
        values = (rng.normal(0, 1, shape) * spread / shape[-1] ** 0.5).astype(np.float32)
        if len(shape) == 1:
            values = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        writer.add_tensor(name, values)

    add("token_embd.weight", VOCAB, HIDDEN, spread=8.0)
    add("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            add(f"blk.{layer}.{name}.weight", HIDDEN)
        for name, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS), ("attn_v", KV_HEADS)):
            add(f"blk.{layer}.{name}.weight", heads * HEAD_DIM, HIDDEN, spread=2.0)
        add(f"blk.{layer}.attn_output.weight", HIDDEN, HIDDEN)
        add(f"blk.{layer}.ffn_gate.weight", INNER, HIDDEN)
        add(f"blk.{layer}.ffn_up.weight", INNER, HIDDEN)
        add(f"blk.{layer}.ffn_down.weight", HIDDEN, INNER)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
