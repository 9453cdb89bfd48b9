"""What a model is and what it needs, against the published numbers and the memory of the moment."""

from collections import namedtuple

import gguf
import numpy as np
import psutil
import pytest

from ossia.errors import CheckpointError, ConfigError, MemoryLimitError, ModelNotFoundError
from ossia.hub.info import describe, fit, require_memory
from ossia.model.config import config_from_dict
from ossia.model.plan import memory_plan

Memory = namedtuple("Memory", "available")
CONFIG_20B = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32,
    "num_experts_per_tok": 4, "vocab_size": 201088, "sliding_window": 128, "max_position_embeddings": 131072,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip


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


def test_fit_has_three_answers():
    config = config_from_dict(CONFIG_20B)
    plan = memory_plan(config, "q8", 8192)
    mapped = plan.experts + plan.embedding
    assert fit(plan, config, plan.total) == "fits"
    assert fit(plan, config, plan.total - 1) == "tight"
    assert fit(plan, config, plan.total - mapped // 2) == "tight"
    assert fit(plan, config, plan.total - mapped // 2 - 1) == "too large"


def test_unquantised_experts_are_the_process_own_memory():
    config = config_from_dict({key: value for key, value in CONFIG_20B.items() if "quant" not in key})
    plan = memory_plan(config, "q8", 8192)
    assert fit(plan, config, plan.total - plan.embedding) == "too large"


def test_too_little_memory_is_refused_with_both_numbers(monkeypatch):
    config = config_from_dict(CONFIG_20B)
    plan = memory_plan(config, "q8", 8192)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(4 * 10**9))
    with pytest.raises(
        MemoryLimitError, match=r"needs at least \d\.\d GB .* 4\.0 GB are available"
    ) as caught:
        require_memory("openai/gpt-oss-20b", plan, config)
    assert caught.value.limit == 4 * 10**9
    assert caught.value.value > caught.value.limit
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(10**11))
    require_memory("openai/gpt-oss-20b", plan, config)


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


def test_a_truncated_gguf_file_is_typed(settings, gguf_path, tmp_path):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf_path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="not a whole GGUF file"):
        describe(str(cut), settings=settings)
