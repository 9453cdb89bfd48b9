"""Weights in memory: experts as the file holds them, dense parts packed, every layout the same."""

import mmap

import numpy as np
import pytest
from tiny_gptoss import (
    CONFIG,
    as_stored,
    dense_experts,
    original_config,
    original_layout,
    quantised,
    unpack,
    write_checkpoint,
)

from ossia.model.checkpoint import open_checkpoint
from ossia.model.weights import load_weights


def load(folder, numerics="f32", **kw):
    ckpt = open_checkpoint(folder)
    return load_weights(ckpt, ckpt.config, numerics, **kw)


def lies_in_a_file(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(getattr(array, "obj", array), mmap.mmap)


def test_experts_and_embedding_stay_in_the_file(tiny_folder, stored):
    weights = load(tiny_folder, "q8")
    assert lies_in_a_file(weights.embedding)
    for n, layer in enumerate(weights.layers):
        at = f"model.layers.{n}.mlp.experts."
        assert lies_in_a_file(layer.gate_up.data)
        assert lies_in_a_file(layer.down.scales)
        assert (layer.gate_up.data == stored[at + "gate_up_proj_blocks"]).all()
        assert (layer.down.scales == stored[at + "down_proj_scales"]).all()


def test_dense_parts_under_f32_are_the_stored_values(tiny_folder, tensors):
    layer = load(tiny_folder).layers[2]
    at = "model.layers.2.self_attn."
    qkv = np.concatenate([tensors[f"{at}{x}_proj.weight"] for x in "qkv"])
    assert (layer.qkv.data[0] == qkv).all()
    assert (layer.qkv_bias == np.concatenate([tensors[f"{at}{x}_proj.bias"] for x in "qkv"])).all()
    assert (layer.out.data[0] == tensors[at + "o_proj.weight"]).all()
    assert (layer.sinks == tensors[at + "sinks"]).all()
    assert (layer.router == tensors["model.layers.2.mlp.router.weight"]).all()


@pytest.mark.parametrize("dtype", ["bf16", "f32"])
def test_unquantised_experts_are_turned_to_rows_per_output(tmp_path, tensors, dtype):
    weights = load(write_checkpoint(tmp_path, as_stored(dense_experts(tensors), dtype), CONFIG))
    name = "model.layers.1.mlp.experts.gate_up_proj"
    expected = unpack(tensors[name + "_blocks"], tensors[name + "_scales"])
    assert (weights.layers[1].gate_up.data == expected).all()


def test_float16_checkpoints(tmp_path, tensors):
    half = {k: x.astype(np.float16) if x.dtype == np.float32 else x for k, x in tensors.items()}
    weights = load(write_checkpoint(tmp_path, half, quantised()))
    assert (weights.embedding == half["model.embed_tokens.weight"].astype(np.float32)).all()
    assert weights.embedding.dtype == np.float32


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_original_layout_packs_alike(tiny_folder, tmp_path, stored, numerics):
    other = load(write_checkpoint(tmp_path, original_layout(stored), original_config()), numerics)
    ours = load(tiny_folder, numerics)
    for a, b in zip(ours.layers, other.layers, strict=True):
        assert (a.qkv.data == b.qkv.data).all()
        assert (a.qkv_bias == b.qkv_bias).all()
        assert (a.down.data == b.down.data).all()
        assert (a.gate_up_bias == b.gate_up_bias).all()


def test_tensors_at_odd_offsets_are_usable(tmp_path, stored):
    # An odd number of bytes before the others: their views would be unaligned.
    odd = quantised() | {"num_local_experts": 3, "num_experts_per_tok": 1}
    names = {k: x[:3] if ".experts." in k or ".router." in k else x for k, x in stored.items()}
    first = {k: x for k, x in names.items() if k.endswith("_scales")}
    assert sum(x.nbytes for x in first.values()) % 2 == 0
    folder = write_checkpoint(tmp_path, first | names, odd)
    path = folder / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    path.write_bytes((length + 1).to_bytes(8, "little") + raw[8 : 8 + length] + b" " + raw[8 + length :])
    weights = load(folder, "bf16")
    assert weights.embedding.flags.aligned
    assert (weights.embedding == stored["model.embed_tokens.weight"]).all()
    assert weights.layers[0].qkv.data.flags.aligned


@pytest.mark.parametrize("populate", [True, False])
def test_progress_counts_bytes_up_to_all_of_them(tiny_folder, populate):
    seen = []
    load(tiny_folder, "q8", progress=lambda *step: seen.append(step), populate=populate)
    size = open_checkpoint(tiny_folder).size_bytes
    assert {total for _, total in seen} == {size}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (size, size)
