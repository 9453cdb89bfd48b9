"""Names of installed models: every spelling of one, and no way to a path of the client's choosing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ossia.errors import ModelNotFoundError
from ossia.server.models.catalogue import Catalogue
from ossia.settings import Settings, load_settings


def settings_in(folder: Path) -> Settings:
    env = {
        "OSSIA_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hf"),
        "OLLAMA_MODELS": str(folder / "o"),
    }
    return replace(load_settings(env), lmstudio_home=folder / "lmstudio")


def install(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_oss"}))
    (folder / "model.safetensors").write_bytes(b"x" * 100)
    return folder


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    settings = settings_in(tmp_path)
    install(settings.data_dir / "models" / "pocket")
    install(settings.hf_home / "hub" / "models--openai--gpt-oss-20b" / "snapshots" / "abc")
    return Catalogue(settings)


@pytest.mark.parametrize(
    "spelling",
    ["gpt-oss:20b", "gpt-oss-20b", "openai/gpt-oss-20b", "GPT-OSS-20B", "gpt-oss:latest", "gpt-oss"],
)
def test_every_spelling_means_the_one_model(catalogue, spelling):
    assert catalogue.resolve(spelling) == "openai/gpt-oss-20b"
    assert catalogue.find(catalogue.resolve(spelling)).source == "huggingface"


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_no_name_means_the_default(catalogue, nothing):
    assert catalogue.resolve(nothing) == "pocket"


def test_entries_say_what_is_there(catalogue):
    entries = {entry.name: entry for entry in catalogue.entries()}
    assert set(entries) == {"pocket", "openai/gpt-oss-20b"}
    assert entries["pocket"].size_bytes > 100
    assert entries["pocket"].created > 0


def test_a_path_is_no_name(catalogue, tmp_path, monkeypatch):
    folder = install(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    for name in (str(folder), "./elsewhere", "elsewhere", "../x", "openai/gpt-oss-120b", "gpt-4o"):
        with pytest.raises(ModelNotFoundError) as refused:
            catalogue.resolve(name)
        assert str(tmp_path) not in refused.value.remedy


def test_a_folder_served_on_purpose_is_shown_by_its_name_alone(tmp_path):
    folder = install(tmp_path / "mine")
    catalogue = Catalogue(settings_in(tmp_path), str(folder))
    assert catalogue.default == "mine"
    assert catalogue.resolve("mine") == catalogue.resolve(str(folder)) == "mine"
    assert catalogue.find("mine").path == folder


def test_what_is_installed_later_is_found(tmp_path):
    now = [0.0]
    settings = settings_in(tmp_path)
    install(settings.data_dir / "models" / "pocket")
    catalogue = Catalogue(settings, clock=lambda: now[0])
    assert len(catalogue.entries()) == 1
    install(settings.hf_home / "hub" / "models--openai--gpt-oss-20b" / "snapshots" / "abc")
    now[0] = 60.0
    assert catalogue.resolve("gpt-oss") == "openai/gpt-oss-20b"


def test_an_entry_has_its_config_where_that_can_be_read(catalogue, tmp_path):
    folder = tmp_path / "fine"
    shape = {
        "model_type": "gpt_oss",
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "intermediate_size": 64,
        "vocab_size": 1000,
        "sliding_window": 32,
        "max_position_embeddings": 512,
    }
    install(folder)
    (folder / "config.json").write_text(json.dumps(shape))
    readable = Catalogue(settings_in(tmp_path), str(folder)).entries()[0]
    assert (readable.format, readable.context_length, readable.config.num_local_experts) == (
        "safetensors",
        512,
        4,
    )
    broken = catalogue.entries()[0]
    assert (broken.config, broken.context_length) == (None, None)
