"""What a model is and what it needs, against the published numbers."""

import gguf
import numpy as np
import pytest

from ossia.errors import CheckpointError, ConfigError, ModelNotFoundError
from ossia.hub.info import describe


def test_a_tiny_model_is_described(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine")
    info = describe("mine", settings=settings)
    assert (info.model.name, info.architecture, info.quantization) == ("mine", "gpt_oss", "mxfp4 experts")
    assert info.config.num_local_experts == 4
    assert info.parameters.total > info.parameters.active > 0
    assert (info.context, info.numerics, info.fit) == (4096, "q8", "fits")  # the model's limit is below 8,192
    assert info.memory.total > 0


def test_the_plan_follows_what_is_asked(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine")
    small = describe("mine", settings=settings, context=128)
    large = describe("mine", settings=settings, context=1024, sequences=4, numerics="f32")
    assert (small.context, large.context, large.sequences, large.numerics) == (128, 1024, 4, "f32")
    assert large.memory.kv_full == 8 * 4 * small.memory.kv_full * 2  # longer, more of them, f32 beside bf16


def test_a_model_that_is_not_here(settings):
    with pytest.raises(ModelNotFoundError):
        describe("pocket", settings=settings)


def test_a_config_of_another_architecture(settings, write_checkpoint, tmp_path):
    folder = write_checkpoint(tmp_path / "m")
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="llama"):
        describe(str(folder), settings=settings)


@pytest.fixture(scope="module")
def gguf_path(tmp_path_factory):
    """A GGUF file with gpt-oss-20b's metadata and next to no weights."""
    path = tmp_path_factory.mktemp("gguf") / "gpt-oss-20b.gguf"
    writer = gguf.GGUFWriter(path, "gpt-oss")
    writer.add_block_count(24)
    writer.add_context_length(131072)
    writer.add_embedding_length(2880)
    writer.add_expert_count(32)
    writer.add_expert_used_count(4)
    writer.add_expert_feed_forward_length(2880)
    writer.add_head_count(64)
    writer.add_head_count_kv(8)
    writer.add_key_length(64)
    writer.add_sliding_window(128)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(150000.0)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    writer.add_token_list([f"t{i}" for i in range(201088)])
    writer.add_tensor("output_norm.weight", np.ones(2880, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_is_described_from_its_metadata(settings, gguf_path):
    info = describe(str(gguf_path), settings=settings)
    assert info.model.format == "gguf"
    assert info.parameters.total == 20_914_757_184  # the model card's Table 1
    assert info.parameters.active == 3_608_307_264
    assert (info.config.rope.factor, info.config.max_position_embeddings) == (32.0, 131072)


@pytest.mark.parametrize("size", [0, 10, 30, 5000, 1_000_000])
def test_a_truncated_gguf_file_is_typed(settings, gguf_path, tmp_path, size):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf_path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="not a whole GGUF file"):
        describe(str(cut), settings=settings)


def test_a_file_that_only_calls_itself_gguf(settings, tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"PK" * 100)
    with pytest.raises(CheckpointError, match="does not begin like one"):
        describe(str(tmp_path / "x.gguf"), settings=settings)


def test_a_gguf_file_of_another_architecture(settings, tmp_path):
    path = tmp_path / "x.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(ConfigError, match="llama"):
        describe(str(path), settings=settings)


def test_a_damaged_gguf_file_never_gets_past_the_typed_errors(settings, tmp_path):
    path = tmp_path / "whole.gguf"
    writer = gguf.GGUFWriter(path, "gpt-oss")
    writer.add_block_count(24)
    writer.add_head_count(64)
    writer.add_token_list(["a", "b", "c"])
    writer.add_array("numbers", [1, 2, 3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    whole, broken = path.read_bytes(), tmp_path / "broken.gguf"
    rng = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        at = int(rng.integers(4, len(data) - 8))
        data[at : at + 8] = rng.choice([b"\xff" * 8, rng.bytes(8), b"\xff" * 7 + b"\x7f", b"\0" * 8])
        broken.write_bytes(data)
        with pytest.raises((CheckpointError, ConfigError)):
            describe(str(broken), settings=settings)
