"""Parameter counts equal to the gpt-oss model card's Table 1, and memory by part."""

import numpy as np
import pytest
from tiny_gptoss import CONFIG, as_stored, dense_experts, write_checkpoint

from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import config_from_dict
from ossia.model.kv_cache import BLOCK, KVCache, block_bytes
from ossia.model.plan import count_parameters, memory_plan
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights


def gpt_oss(layers, experts):
    return config_from_dict(
        {
            "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64, "num_attention_heads": 64,
            "num_key_value_heads": 8, "num_hidden_layers": layers, "num_local_experts": experts,
            "num_experts_per_tok": 4, "sliding_window": 128, "vocab_size": 201088, "rope_theta": 150000.0,
            "max_position_embeddings": 131072, "quantization_config": {"quant_method": "mxfp4"},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "experts", "total", "active"),
    [(24, 32, 20_914_757_184, 3_608_307_264), (36, 128, 116_829_156_672, 5_132_849_472)],
)
def test_counts_are_the_model_cards(layers, experts, total, active):
    count = count_parameters(gpt_oss(layers, experts))
    assert (count.total, count.active) == (total, active)


def test_counts_are_what_a_checkpoint_holds(tmp_path, tensors):
    dense = as_stored(dense_experts(tensors), "f32")
    ckpt = open_checkpoint(write_checkpoint(tmp_path, dense, CONFIG))
    assert count_parameters(ckpt.config).total * 4 == ckpt.size_bytes


def test_the_kv_cache_of_20b():
    c = gpt_oss(24, 32)
    plan = memory_plan(c, "q8", 131_072)
    assert plan.kv_full == 3 * 2**30
    # 128 + 512 tokens, and a block cut at either end: 12 blocks of 1.5 MiB.
    assert plan.kv_window == 12 * block_bytes(c, "bf16", "window") == 18 * 2**20
    assert memory_plan(c, "q8", 32_768).kv_full == 3 * 2**28
    assert memory_plan(c, "q8", 32_768, sequences=4).kv_full == 3 * 2**30
    assert memory_plan(c, "f32", 32_768).kv_full == 6 * 2**28
    assert memory_plan(c, "f32", 32_768, kv_cache="bf16").kv_full == 3 * 2**28


def test_20b_with_its_whole_context_in_8_bits():
    plan = memory_plan(gpt_oss(24, 32), "q8", 131_072, kv_cache="int8")
    assert plan.kv_full == 131_072 * 12 * 2 * 8 * (64 + 2)  # a code a value and a bf16 scale a head
    assert plan.total <= 13.5 * 2**30


def test_short_contexts_need_no_whole_window():
    c = gpt_oss(24, 32)
    assert memory_plan(c, "q8", 65).kv_window == 2 * block_bytes(c, "bf16", "window")


def test_the_parts_sum_to_the_total():
    plan = memory_plan(gpt_oss(24, 32), "q8", 8192)
    parts = (
        plan.experts,
        plan.embedding,
        plan.dense,
        plan.kv_full,
        plan.kv_window,
        plan.activations,
        plan.logits,
    )
    assert plan.total == sum(parts)
    # Experts and embedding as published; 9 bits for each of 0.64 G attention and 0.58 G unembedding weights.
    assert plan.experts + plan.embedding == pytest.approx(11.31e9, rel=1e-3)
    assert plan.dense == pytest.approx((637e6 + 579e6) * 9 / 8, rel=0.05)


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_plan_and_loaded_weights_agree(tiny_folder, numerics):
    ckpt = open_checkpoint(tiny_folder)
    weights = load_weights(ckpt, ckpt.config, numerics)
    dense, experts = weights.unembedding.nbytes + weights.norm.nbytes, 0
    for layer in weights.layers:
        for name in layer.__slots__:
            part = getattr(layer, name)
            if name in ("gate_up", "down"):
                experts += part.nbytes
            else:
                dense += part.nbytes
    plan = memory_plan(ckpt.config, numerics, 64)
    assert (plan.dense, plan.experts, plan.embedding) == (dense, experts, weights.embedding.nbytes)


def test_activations_cover_what_the_transformer_allocates(tiny_folder):
    ckpt = open_checkpoint(tiny_folder)
    c, weights = ckpt.config, load_weights(ckpt, ckpt.config, "f32")
    model = Transformer(c, weights, KVCache(c, "f32", 1, 1), "f32", 100, 1, 1)
    s = model._scratch
    held = sum(a.nbytes for a in (s.x, s.normed, s.qkv, s.hidden.data, s.heads.data))
    assert held < memory_plan(c, "f32", 64, max_batch_tokens=100).activations < 4 * held


@pytest.mark.parametrize(("kind", "dtype"), [("int8", np.int8), ("bf16", np.uint16), ("f32", np.float32)])
def test_block_bytes_are_what_a_block_takes(tiny_folder, kind, dtype):
    c = open_checkpoint(tiny_folder).config
    kv = KVCache(c, kind, 3, 5)
    held = sum(layer.k.nbytes + layer.v.nbytes for layer in kv.layers)
    assert held == 3 * block_bytes(c, kind, "full") + 5 * block_bytes(c, kind, "window")
    assert {layer.k.dtype for layer in kv.layers} == {np.dtype(dtype)}
    assert kv.layers[0].k.shape == (5, 2, 18 if kind == "int8" else 16, BLOCK)
