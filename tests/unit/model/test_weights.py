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

from ossia.errors import CheckpointError
from ossia.kernels.tensors import pack_matrix
from ossia.model.checkpoint import Checkpoint, open_checkpoint
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


def same_matrix(got, expected):
    np.testing.assert_array_equal(got.data, expected.data)
    if expected.scales is not None:
        np.testing.assert_array_equal(got.scales, expected.scales)


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
@pytest.mark.parametrize("dtype", ["bf16", "f32", "f16"])
def test_every_stored_type_is_packed_alike(tmp_path, tensors, dtype, numerics):
    whole = dense_experts(tensors)
    stored = (
        {k: x.astype(np.float16) for k, x in whole.items()} if dtype == "f16" else as_stored(whole, dtype)
    )
    values = {k: x.astype(np.float32) for k, x in stored.items()} if dtype == "f16" else whole
    weights = load(write_checkpoint(tmp_path, stored, CONFIG), numerics)
    at = "model.layers.3."
    same_matrix(weights.unembedding, pack_matrix(values["lm_head.weight"], numerics))
    same_matrix(weights.layers[3].out, pack_matrix(values[at + "self_attn.o_proj.weight"], numerics))
    down = values[at + "mlp.experts.down_proj"].swapaxes(1, 2)
    same_matrix(weights.layers[3].down, pack_matrix(down, numerics))
    assert (weights.layers[3].down_bias == values[at + "mlp.experts.down_proj_bias"]).all()


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_only_experts_and_embedding_are_mapped(tiny_folder, monkeypatch, numerics):
    asked = []
    mapped = Checkpoint.array
    monkeypatch.setattr(Checkpoint, "array", lambda self, name: asked.append(name) or mapped(self, name))
    load(tiny_folder, numerics)
    assert {name.split(".")[-1] for name in asked if ".experts." in name} == {
        f"{matrix}_{part}" for matrix in ("gate_up_proj", "down_proj") for part in ("blocks", "scales")
    }
    assert [name for name in asked if ".experts." not in name] == ["model.embed_tokens.weight"]


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.1.self_attn.sinks"])
@pytest.mark.parametrize("dtype", ["bf16", "f32", "f16"])
def test_inf_and_nan_in_a_damaged_checkpoint_are_its_readers_problem(tmp_path, tensors, name, dtype):
    damaged = dict(tensors)
    damaged[name] = tensors[name].copy()
    damaged[name].reshape(-1)[-3] = np.nan
    stored = as_stored(damaged, "bf16" if dtype == "bf16" else "f32")
    if dtype == "f16":
        stored = {k: x.astype(np.float16) if x.dtype == np.float32 else x for k, x in stored.items()}
    with pytest.raises(CheckpointError, match=f"{name} holds inf or NaN") as e:
        load(write_checkpoint(tmp_path, stored, quantised()), "q8")
    assert e.value.value == name


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_a_file_cut_after_it_was_opened_is_an_error(tmp_path, stored, numerics):
    folder = write_checkpoint(tmp_path, stored, quantised())
    ckpt = open_checkpoint(folder)
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(8192)
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(ckpt, ckpt.config, numerics)


@pytest.mark.parametrize(("asked", "kind"), [(True, "q8_planes"), (False, "q8")])
def test_the_unembedding_is_screened_where_asked_and_worth_it(tiny_folder, monkeypatch, asked, kind):
    assert load(tiny_folder, "q8", screened_head=asked).unembedding.kind == "q8"  # too small for it
    monkeypatch.setattr("ossia.model.weights.most_screened", lambda vocab, width: 8)
    assert load(tiny_folder, "q8", screened_head=asked).unembedding.kind == kind
    assert load(tiny_folder, "bf16", screened_head=asked).unembedding.kind == "bf16"
