"""A base like pocket's, but tiny: a GGUF file with random weights and a byte vocabulary."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

LAYERS, HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM = 2, 64, 256, 4, 2, 16
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *(f"<unused_{i}>" for i in range(14))]


def byte_tokens() -> list[str]:
    """GPT-2's 256 printable names of bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable}
    names |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [names[byte] for byte in sorted(names)]


def write_base(
    path: Path, *, inner: int = INNER, feed_forward: str = "Q4_1", vocabulary: bool = True
) -> Path:
    """Write the tiny base to `path`; `feed_forward` is the type its large matrices are stored in."""
    rng = np.random.default_rng(7)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100_000.0)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = [*SPECIALS, *byte_tokens(), "th", "the"]
    if vocabulary:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(tokens)
        writer.add_token_types([3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS)))
        writer.add_token_merges(["t h", "th e"])

    def matrix(name: str, rows: int, columns: int, kind: str, scale: float = 1.0) -> None:
        values = rng.normal(0, scale / columns**0.5, (rows, columns)).astype(np.float32)
        if kind == "F32":
            writer.add_tensor(name, values)
            return
        stored = gguf.GGMLQuantizationType[kind]
        writer.add_tensor(name, gguf.quantize(values, stored), raw_dtype=stored)

    def norm(name: str) -> None:
        writer.add_tensor(name, rng.uniform(0.5, 1.5, HIDDEN).astype(np.float32))

    matrix("token_embd.weight", len(tokens), HIDDEN, "Q8_0", scale=8.0)
    norm("output_norm.weight")
    for layer in range(LAYERS):
        norm(f"blk.{layer}.attn_norm.weight")
        norm(f"blk.{layer}.ffn_norm.weight")
        for name, heads in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            matrix(f"blk.{layer}.attn_{name}.weight", heads * HEAD_DIM, HIDDEN, "Q4_1", scale=2.0)
        matrix(f"blk.{layer}.attn_output.weight", HIDDEN, HEADS * HEAD_DIM, "Q4_1")
        matrix(f"blk.{layer}.ffn_gate.weight", inner, HIDDEN, feed_forward)
        matrix(f"blk.{layer}.ffn_up.weight", inner, HIDDEN, feed_forward)
        matrix(f"blk.{layer}.ffn_down.weight", HIDDEN, inner, feed_forward)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / "tiny.gguf")


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny base with changes: `make_base(inner=96)`."""
    return lambda **changes: write_base(tmp_path / "changed.gguf", **changes)
