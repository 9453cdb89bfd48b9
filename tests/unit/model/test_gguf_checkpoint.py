"""Models from GGUF files: weights and logits as of the same model in safetensors; refusals that say why."""

import gguf
import numpy as np
import pytest
from tiny_gguf import experts, llama_names, write_gguf, write_stored
from tiny_gptoss import CONFIG, bf16_bits, dense_experts, quantised, unpack, write_checkpoint

from ossia.errors import CheckpointError, ConfigError
from ossia.model.batch import single_sequence
from ossia.model.checkpoint import GgufCheckpoint, open_checkpoint
from ossia.model.kv_cache import KVCache, kv_kind
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights

IDS = np.random.default_rng(3).integers(0, CONFIG["vocab_size"], 70).tolist()
NAMINGS = ["llama.cpp", "ollama"]
LAYER = "model.layers.1."


def logits(path, numerics):
    checkpoint = open_checkpoint(path)
    config = checkpoint.config
    weights = load_weights(checkpoint, config, numerics)
    kv = KVCache(config, kv_kind(numerics), 4, 4)
    model = Transformer(config, weights, kv, numerics, 128, 1, 4)
    return model.forward(single_sequence(IDS, all_logits=True)).copy()


def load(path, numerics, **options):
    checkpoint = open_checkpoint(path)
    return load_weights(checkpoint, checkpoint.config, numerics, **options)


@pytest.fixture(scope="module", params=NAMINGS)
def naming(request):
    return request.param


@pytest.fixture(scope="module")
def bf16_file(naming, tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return write_gguf(path, tensors, naming=naming, dense="BF16", eos=2)


@pytest.fixture(scope="module")
def q8_file(tensors, tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-q8.gguf", tensors, dense="Q8_0")


def test_the_config_is_that_of_config_json(bf16_file, tiny_folder):
    assert open_checkpoint(bf16_file).config == open_checkpoint(tiny_folder).config


@pytest.mark.parametrize("numerics", ["f32", "bf16", "q8"])
def test_logits_equal_those_of_safetensors_bit_for_bit(bf16_file, tiny_folder, numerics):
    assert np.array_equal(logits(bf16_file, numerics), logits(tiny_folder, numerics))


def test_float32_dense_parts_give_the_same_bits(naming, tensors, tiny_folder, tmp_path):
    path = write_gguf(tmp_path / "f32.gguf", tensors, naming=naming, dense="F32")
    assert np.array_equal(logits(path, "q8"), logits(tiny_folder, "q8"))


def test_experts_are_in_the_published_order(bf16_file, stored):
    layer = load(bf16_file, "q8").layers[1]
    at = LAYER + "mlp.experts."
    for ours, name in ((layer.gate_up, "gate_up_proj"), (layer.down, "down_proj")):
        assert np.array_equal(ours.data, stored[f"{at}{name}_blocks"])
        assert np.array_equal(ours.scales, stored[f"{at}{name}_scales"])
    assert np.array_equal(bf16_bits(layer.gate_up_bias), stored[at + "gate_up_proj_bias"])


def test_fused_experts_in_ggufs_own_order(tensors, stored, tmp_path):
    """As Ollama wrote them after its first files: weights still fused, biases apart already."""
    names = llama_names(tensors, 4)
    for n in range(4):
        del names[f"blk.{n}.ffn_gate_exps.weight"], names[f"blk.{n}.ffn_up_exps.weight"]
        fused = experts(tensors, f"model.layers.{n}.mlp.experts.gate_up_proj")
        names[f"blk.{n}.ffn_gate_up_exps.weight"] = fused
    write_stored(tmp_path / "m.gguf", names, CONFIG, dense="BF16")
    layer = load(tmp_path / "m.gguf", "q8").layers[1]
    assert np.array_equal(layer.gate_up.data, stored[LAYER + "mlp.experts.gate_up_proj_blocks"])
    assert np.array_equal(bf16_bits(layer.gate_up_bias), stored[LAYER + "mlp.experts.gate_up_proj_bias"])


def test_arrays_equal_those_of_safetensors(bf16_file, tiny_folder):
    ours, theirs = open_checkpoint(bf16_file), open_checkpoint(tiny_folder)
    weights = {name for name in ours.names if name.endswith(("_proj.weight", "embed_tokens.weight"))}
    assert len(weights) == 4 * 4 + 1
    for name in weights:
        assert np.array_equal(ours.array(name), theirs.array(name)), name
    for name in set(ours.names) & set(theirs.names) - weights:
        stored = bf16_bits(ours.array(name)) if ours.dtype(name) == np.float32 else ours.array(name)
        assert np.array_equal(stored, theirs.array(name)), name


def test_q8_0_weights_keep_their_codes(q8_file, tensors):
    weights = load(q8_file, "q8")
    stored = {t.name: t for t in gguf.GGUFReader(q8_file).tensors}
    raw = np.concatenate([stored[f"blk.1.attn_{x}.weight"].data.reshape(-1, 34) for x in "qkv"])
    qkv = weights.layers[1].qkv
    assert np.array_equal(qkv.data.reshape(-1, 32), raw[:, 2:].view(np.int8))
    scales = np.ascontiguousarray(raw[:, :2]).view(np.float16)
    assert np.array_equal(qkv.scales.reshape(-1), scales.astype(np.float32).reshape(-1))


@pytest.mark.parametrize("numerics", ["bf16", "f32"])
def test_q8_0_weights_under_other_numerics_are_the_values_they_stand_for(q8_file, numerics):
    weights = load(q8_file, numerics)
    stored = {t.name: t for t in gguf.GGUFReader(q8_file).tensors}
    for ours, name in ((weights.unembedding.data[0], "output"), (weights.embedding, "token_embd")):
        tensor = stored[name + ".weight"]
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(ours, values if numerics == "f32" else bf16_bits(values)), name


@pytest.mark.parametrize("dense", ["F16", "Q8_0"])
def test_embeddings_that_are_neither_bf16_nor_float32_become_bf16(tensors, tmp_path, dense):
    path = write_gguf(tmp_path / "m.gguf", tensors, dense=dense)
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
    values = np.asarray(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32)
    assert np.array_equal(load(path, "q8").embedding, bf16_bits(values))
    assert np.array_equal(load(path, "f32").embedding, values)


@pytest.mark.parametrize("dense", ["BF16", "F32", "Q8_0", "F16"])
def test_experts_that_are_not_mxfp4(tensors, tmp_path, dense):
    unquantised = dense_experts(tensors)
    path = write_gguf(tmp_path / "m.gguf", unquantised, dense=dense)
    layer = load(path, "f32").layers[1]
    for ours, name in ((layer.gate_up, "gate_up_proj"), (layer.down, "down_proj")):
        at = f"{LAYER}mlp.experts.{name}"
        expected = unpack(tensors[at + "_blocks"], tensors[at + "_scales"])
        # Q8_0 rounds to half a step of amax/127, in float16.
        limit = np.abs(expected).max() / 127 * 0.51 if dense == "Q8_0" else 0
        assert np.abs(ours.data - expected).max() <= limit


def test_a_file_in_parts(tensors, tmp_path, tiny_folder):
    first = write_gguf(tmp_path / "m.gguf", tensors, parts=3, dense="BF16")
    assert first.name == "m-00001-of-00003.gguf"
    assert np.array_equal(logits(first, "q8"), logits(tiny_folder, "q8"))
    last = tmp_path / "m-00003-of-00003.gguf"
    assert open_checkpoint(last).size_bytes == open_checkpoint(first).size_bytes
    last.unlink()
    with pytest.raises(CheckpointError, match=r"1 of 3 parts of m-00001-of-00003.gguf are missing: m-00003"):
        open_checkpoint(first)


def test_parts_of_different_models_are_refused(tensors, tmp_path):
    first = write_gguf(tmp_path / "m.gguf", tensors, parts=2)
    whole = write_gguf(tmp_path / "whole.gguf", tensors)
    whole.rename(tmp_path / "m-00002-of-00002.gguf")
    with pytest.raises(CheckpointError, match=r"m-00002-of-00002.gguf says it is part 0 \(from 0\) of 1"):
        open_checkpoint(first)
    (tmp_path / "alone.gguf").write_bytes(first.read_bytes())
    with pytest.raises(CheckpointError, match="of 2"):
        open_checkpoint(tmp_path / "alone.gguf")


def test_a_tensor_in_two_parts_is_refused(tensors, tmp_path):
    first = write_gguf(tmp_path / "m.gguf", tensors, parts=2)
    second = first.with_name("m-00002-of-00002.gguf")
    twice, once = (
        next(t.name for t in gguf.GGUFReader(path).tensors if t.name.endswith("attn_k.weight")).encode()
        for path in (first, second)
    )
    second.write_bytes(second.read_bytes().replace(once, twice))
    with pytest.raises(CheckpointError, match=f"{twice.decode()} is in m-00001-of-00002.gguf and in m-00002"):
        open_checkpoint(first)


def test_progress_ends_at_all_bytes(bf16_file):
    seen = []
    load(bf16_file, "q8", progress=lambda done, total: seen.append((done, total)))
    total = open_checkpoint(bf16_file).size_bytes
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-2][0] > total * 0.9


def test_names_and_positions_are_of_the_file(bf16_file):
    checkpoint = open_checkpoint(bf16_file)
    assert isinstance(checkpoint, GgufCheckpoint)
    assert checkpoint.size_bytes < bf16_file.stat().st_size
    for name in checkpoint.names:
        file, begin = checkpoint.position(name)
        assert (file, begin % 2) == ("tiny.gguf", 0)
        checkpoint.will_need(name, 0, 1 << 40)  # advice past the end is cut


def refused(path, stored, **options):
    """What opening a file of these tensors is refused with."""
    write_stored(path, stored, CONFIG, **options)
    with pytest.raises((CheckpointError, ConfigError)) as caught:
        open_checkpoint(path)
    assert caught.value.remedy
    return caught.value.message


def test_a_missing_tensor_is_named(tensors, tmp_path):
    stored = llama_names(tensors, 4)
    del stored["blk.2.attn_sinks.weight"]
    assert refused(tmp_path / "m.gguf", stored) == "m.gguf: 1 tensors are missing: blk.2.attn_sinks.weight"


def test_a_tensor_too_many_is_named(tensors, tmp_path):
    stored = llama_names(tensors, 4) | {"rope_freqs.weight": np.ones(8, np.float32)}
    assert refused(tmp_path / "m.gguf", stored) == "m.gguf: 1 tensors are not gpt-oss's: rope_freqs.weight"


def test_a_wrong_shape_is_told(tensors, tmp_path):
    stored = llama_names(tensors, 4) | {"output_norm.weight": np.ones(32, np.float32)}
    assert refused(tmp_path / "m.gguf", stored) == "m.gguf: output_norm.weight has shape [32], not [64]"


def test_gate_and_up_of_different_types_are_refused(tensors, tmp_path):
    stored = llama_names(dense_experts(tensors), 4)
    said = refused(tmp_path / "m.gguf", stored, dense={"blk.0.ffn_up_exps.weight": "BF16"})
    assert said.endswith(
        "ffn_gate_exps.weight and blk.0.ffn_up_exps.weight are of different types: BF16, F32"
    )


@pytest.mark.parametrize("kind", ["Q4_0", "Q5_1", "Q4_1"])
def test_another_quantisation_is_refused_by_its_name(tensors, tmp_path, kind):
    path = write_gguf(tmp_path / "m.gguf", tensors, dense=kind)
    with pytest.raises(
        CheckpointError, match=f"is stored as {kind}, not BF16 or F16 or F32 or Q8_0"
    ) as caught:
        open_checkpoint(path)
    assert caught.value.remedy.startswith("Use a GGUF file of types MXFP4, Q8_0, BF16, F16 and F32 only")


def test_damaged_q8_0_weights_are_refused(tensors, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", tensors, dense="Q8_0")
    at = next(t.data_offset for t in gguf.GGUFReader(path).tensors if t.name == "blk.0.attn_output.weight")
    data = bytearray(path.read_bytes())
    for byte, value in ((at + 1, 0x7C), (at + 2, 0x80)):  # the scale becomes inf or NaN, a code -128
        broken = data.copy()
        broken[byte] = value
        path.write_bytes(broken)
        with pytest.raises(
            CheckpointError, match=r"blk.0.attn_output.weight holds inf, NaN or a code of -128"
        ):
            load(path, "q8")


def test_a_file_that_shrinks_while_it_is_read(tensors, tmp_path):
    path = write_gguf(tmp_path / "m.gguf", tensors, dense="Q8_0")
    checkpoint = open_checkpoint(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CheckpointError, match=r"m.gguf cannot be read: it ends inside "):
        load_weights(checkpoint, checkpoint.config, "q8")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("gpt-oss.rope.dimension_count", 8, "rope.dimension_count = 8"),
        ("gpt-oss.attention.value_length", 32, "attention.value_length = 32"),
        ("gpt-oss.rope.freq_base_swa", 10000.0, "rope.freq_base_swa = 10000"),
        ("gpt-oss.rope.scaling.yarn_log_multiplier", 0.5, "yarn_log_multiplier = 0.5"),
        ("gpt-oss.rope.scaling.type", "linear", "linear"),
        ("gpt-oss.attention.sliding_window_pattern", 6, "sliding_window_pattern 6"),
        ("gpt-oss.embedding_length", 65, "hidden_size is 65"),
    ],
)
def test_another_architecture_in_the_metadata_is_refused(tmp_path, key, value, said):
    message = refused(tmp_path / "m.gguf", {}, also={key: value})
    assert said in message
    assert "config.json" not in message


def test_layer_types_and_both_betas_are_read(tensors, stored, tmp_path):
    rope = CONFIG["rope_scaling"] | {"beta_fast": 16.0, "beta_slow": 2.0}
    types = ["full_attention", "sliding_attention", "sliding_attention", "full_attention"]
    config = quantised() | {"rope_scaling": rope, "layer_types": types}
    folder = write_checkpoint(tmp_path / "hf", stored, config)
    also = {
        "gpt-oss.rope.scaling.yarn_beta_fast": 16.0,
        "gpt-oss.rope.scaling.yarn_beta_slow": 2.0,
        "gpt-oss.attention.sliding_window_pattern": [x == "sliding_attention" for x in types],
    }
    path = write_gguf(tmp_path / "m.gguf", tensors, eos=2, also=also)
    assert open_checkpoint(path).config == open_checkpoint(folder).config
