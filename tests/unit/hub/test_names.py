"""Many spellings, one model; a name nobody knows is answered with what would help."""

import pytest

from ossia.errors import InputError, ModelNotFoundError
from ossia.hub.names import KNOWN, canonical, resolve


@pytest.mark.parametrize(
    "spelling",
    [
        "gpt-oss:20b",
        "gpt-oss-20b",
        "openai/gpt-oss-20b",
        "OpenAI/GPT-OSS-20B",
        "GPT-OSS:20B",
        "gpt-oss",
        "gpt-oss:latest",
        "gptoss:20b",
        "hf://openai/gpt-oss-20b",
        "https://huggingface.co/openai/gpt-oss-20b",
        "hf.co/openai/gpt-oss-20b/",
        "library/gpt-oss:20b",
        "  gpt-oss:20b ",
        "lmstudio-community/gpt-oss-20b-GGUF",
        "ggml-org/gpt-oss-20b-mxfp4-GGUF",
    ],
)
def test_every_spelling_of_20b_is_one_model(spelling):
    name = resolve(spelling)
    assert (name.id, name.kind, name.short) == ("openai/gpt-oss-20b", "repo", "gpt-oss-20b")


@pytest.mark.parametrize(
    ("spelling", "model"),
    [
        ("gpt-oss:120b", "openai/gpt-oss-120b"),
        ("GPT-OSS-120B", "openai/gpt-oss-120b"),
        ("gpt-oss-safeguard:20b", "openai/gpt-oss-safeguard-20b"),
        ("gpt-oss-safeguard-120b", "openai/gpt-oss-safeguard-120b"),
        ("pocket", "pocket"),
        ("Ossia/Pocket", "pocket"),
        ("someone/gpt-oss-20b-tuned", "someone/gpt-oss-20b-tuned"),
    ],
)
def test_the_other_known_names(spelling, model):
    assert resolve(spelling).id == model


def test_known_names_name_themselves():
    assert [resolve(name).id for name in KNOWN] == list(KNOWN)


def test_a_folder_is_a_model(tmp_path, monkeypatch):
    assert resolve(str(tmp_path)).kind == "path"
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for spelling in ("mine", "./mine"):
        assert resolve(spelling).id == str(tmp_path / "mine")


def test_a_known_name_wins_over_a_folder_of_that_name(tmp_path, monkeypatch):
    (tmp_path / "pocket").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("pocket").kind == "pocket"
    assert resolve("./pocket").kind == "path"


def test_a_missing_folder_is_said_to_be_missing():
    with pytest.raises(ModelNotFoundError, match=r"no model folder at \./nowhere"):
        resolve("./nowhere")


def test_a_name_only_this_computer_knows():
    assert resolve("My-Tune", ["my-tune"]).kind == "installed"
    assert resolve("My-Tune", ["my-tune"]).id == "my-tune"


@pytest.mark.parametrize(
    ("wrong", "near"), [("gpt-oss:70b", "openai/gpt-oss-20b"), ("poket", "pocket"), ("my-tone", "my-tune")]
)
def test_an_unknown_name_is_answered_with_near_ones_installed_ones_and_the_remedy(wrong, near):
    with pytest.raises(ModelNotFoundError) as caught:
        resolve(wrong, ["my-tune"])
    assert near in caught.value.message
    assert "Installed: my-tune." in caught.value.remedy
    assert "ossia pull" in caught.value.remedy
    assert caught.value.value == wrong
    assert "my-tune" in caught.value.limit


def test_nothing_near_still_names_a_remedy():
    with pytest.raises(ModelNotFoundError) as caught:
        resolve("zzzz")
    assert "Did you mean" not in caught.value.message
    assert caught.value.remedy == "No model is installed yet. Get one with: ossia pull pocket"


def test_an_empty_name_is_refused():
    with pytest.raises(InputError, match="empty"):
        resolve("  ")


@pytest.mark.parametrize("text", ["llama3:8b", "unsloth/Qwen3-GGUF", "gpt-oss:20b-cloud"])
def test_other_models_keep_their_names(text):
    assert canonical(text) == text
