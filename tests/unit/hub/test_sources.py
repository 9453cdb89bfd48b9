"""What is found where, in which state; and that only complete models are handed to the loader."""

import hashlib
import json
import shutil
import struct
from pathlib import Path

import pytest

from ossia.errors import CheckpointError, ModelNotFoundError
from ossia.hub.load import load
from ossia.hub.sources import find_models, inspect_path, locate, require_loadable
from ossia.model.gguf.container import gguf_architecture

COMMIT = "a" * 40


def gguf_bytes(architecture: str) -> bytes:
    key, value = b"general.architecture", architecture.encode()
    head = struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, len(key)) + key
    return head + struct.pack("<IQ", 8, len(value)) + value + b"\0" * 100


def put_in_hf_cache(settings, source: Path, repo: str) -> Path:
    """Lay a folder's files out as huggingface_hub does: blobs, and links in a snapshot."""
    root = settings.hf_home / "hub" / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for i, file in enumerate(sorted(source.iterdir())):
        blob = root / "blobs" / f"{i:064x}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def put_in_ollama(settings, name: str, data: bytes, size: int | None = None) -> Path:
    model, tag = name.split(":")
    manifest = settings.ollama_models / "manifests" / "registry.ollama.ai" / "library" / model / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(name.encode()).hexdigest()
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:00", "size": 1},
        {
            "mediaType": "application/vnd.ollama.image.model",
            "digest": f"sha256:{digest}",
            "size": size or len(data),
        },
    ]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    blob = settings.ollama_models / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(exist_ok=True)
    blob.write_bytes(data)
    return blob


def test_nothing_anywhere(settings):
    assert find_models(settings) == []


def test_ossias_own_folder(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "pocket")
    [model] = find_models(settings)
    assert (model.name, model.source, model.path, model.loadable) == ("pocket", "ossia", folder, True)
    assert model.size_bytes == sum(path.stat().st_size for path in folder.iterdir())


def test_a_temporary_folder_is_no_model(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / ".pocket.x1.tmp")
    assert find_models(settings) == []


def test_the_hugging_face_cache(settings, write_checkpoint, tmp_path):
    snapshot = put_in_hf_cache(settings, write_checkpoint(tmp_path / "src", shards=2), "openai/gpt-oss-20b")
    model = locate("gpt-oss:20b", settings)
    assert (model.name, model.source, model.path) == ("openai/gpt-oss-20b", "huggingface", snapshot)
    assert model.loadable


def test_other_architectures_in_the_cache_are_not_listed(settings, write_checkpoint, tmp_path):
    source = write_checkpoint(tmp_path / "src")
    (source / "config.json").write_text('{"model_type": "llama"}')
    put_in_hf_cache(settings, source, "meta/llama")
    assert find_models(settings) == []


def test_the_newest_snapshot_where_no_ref_says(settings, write_checkpoint, tmp_path):
    snapshot = put_in_hf_cache(settings, write_checkpoint(tmp_path / "src"), "openai/gpt-oss-20b")
    (snapshot.parents[1] / "refs" / "main").unlink()
    assert locate("gpt-oss-20b", settings).path == snapshot


def test_a_download_that_stopped_is_listed_as_incomplete(settings, write_checkpoint, tmp_path):
    snapshot = put_in_hf_cache(settings, write_checkpoint(tmp_path / "src", shards=3), "openai/gpt-oss-20b")
    (snapshot / "model-00001-of-00002.safetensors").resolve().unlink()
    model = locate("openai/gpt-oss-20b", settings)
    assert model.missing == "1 of 3 shards missing (model-00001-of-00002.safetensors)"
    with pytest.raises(CheckpointError, match="incomplete") as caught:
        require_loadable(model)
    assert caught.value.remedy == "Run: ossia pull openai/gpt-oss-20b"


def test_a_download_without_a_snapshot_is_listed_as_incomplete(settings):
    blobs = settings.hf_home / "hub" / "models--openai--gpt-oss-120b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"x" * 10)
    [model] = find_models(settings)
    assert (model.name, model.complete, model.size_bytes) == ("openai/gpt-oss-120b", False, 10)


def test_an_original_only_download_is_loaded_from_original(settings, write_checkpoint, tmp_path):
    folder = write_checkpoint(tmp_path / "repo" / "original")
    assert inspect_path(tmp_path / "repo").path == folder
    assert inspect_path(tmp_path / "repo").loadable


def test_ollamas_store_is_listed_as_gguf(settings):
    blob = put_in_ollama(settings, "gpt-oss:20b", gguf_bytes("gptoss"))
    put_in_ollama(settings, "llama3:8b", gguf_bytes("llama"))
    [model] = find_models(settings)
    assert (model.name, model.source, model.format, model.path) == (
        "openai/gpt-oss-20b",
        "ollama",
        "gguf",
        blob,
    )
    assert model.loadable
    assert not model.mapped
    require_loadable(model)


def test_ollamas_unfinished_download(settings):
    blob = put_in_ollama(settings, "gpt-oss:20b", gguf_bytes("gpt-oss"), size=10**9)
    assert "of 1000000000 bytes" in find_models(settings)[0].missing
    blob.rename(blob.with_name(blob.name + "-partial"))
    [model] = find_models(settings)
    assert model.missing.startswith("no sha256-")
    assert model.size_bytes > 0


@pytest.mark.parametrize(
    "content",
    [
        b"\xff{",
        b"[]",
        b"{}",
        b'{"layers": 3}',
        b'{"layers": [3]}',
        b'{"layers": [{}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": 3, "size": "x"}]}',
    ],
)
def test_a_broken_ollama_manifest_is_passed_over(settings, content):
    put_in_ollama(settings, "gpt-oss:20b", gguf_bytes("gpt-oss"))
    broken = settings.ollama_models / "manifests" / "registry.ollama.ai" / "library" / "gpt-oss" / "broken"
    broken.write_bytes(content)
    assert len(find_models(settings)) == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"weight_map": [1]}', b'{"weight_map": {"a": [1]}}'])
def test_a_broken_index_stops_the_model_not_the_listing(settings, write_checkpoint, content):
    folder = write_checkpoint(settings.data_dir / "models" / "mine", shards=2)
    (folder / "model.safetensors.index.json").write_bytes(content)
    write_checkpoint(settings.data_dir / "models" / "other")
    assert [model.name for model in find_models(settings)] == ["mine", "other"]
    with pytest.raises(CheckpointError):
        load("mine", settings=settings)


def test_lm_studios_folders(settings, write_checkpoint):
    folder = settings.lmstudio_home / "models" / "lmstudio-community" / "gpt-oss-20b-GGUF"
    folder.mkdir(parents=True)
    (folder / "gpt-oss-20b-MXFP4.gguf").write_bytes(gguf_bytes("gpt-oss"))
    write_checkpoint(settings.lmstudio_home / "models" / "someone" / "tuned")
    found = {model.name: model for model in find_models(settings)}
    assert found["openai/gpt-oss-20b"].format == "gguf"
    assert found["someone/tuned"].loadable


def test_a_gguf_file_in_parts(settings, tmp_path):
    folder = settings.lmstudio_home / "models" / "someone" / "gpt-oss-120b-GGUF"
    folder.mkdir(parents=True)
    (folder / "a-projector.gguf").write_bytes(gguf_bytes("clip"))
    for i in (1, 2, 3):
        (folder / f"gpt-oss-120b-0000{i}-of-00003.gguf").write_bytes(gguf_bytes("gpt-oss"))
    [model] = find_models(settings)
    assert (model.path.name, model.complete) == ("gpt-oss-120b-00001-of-00003.gguf", True)
    assert model.size_bytes == 3 * len(gguf_bytes("gpt-oss"))
    (folder / "gpt-oss-120b-00002-of-00003.gguf").unlink()
    model = inspect_path(folder / "gpt-oss-120b-00003-of-00003.gguf")
    assert model.missing == "1 of 3 parts missing (gpt-oss-120b-00002-of-00003.gguf)"
    with pytest.raises(CheckpointError, match="1 of 3 parts missing") as caught:
        require_loadable(model)
    assert caught.value.limit == "every part"


def test_a_mapped_copy_is_preferred_to_another_programs_gguf(settings, write_checkpoint, tmp_path):
    put_in_ollama(settings, "gpt-oss:20b", gguf_bytes("gptoss"))
    put_in_hf_cache(settings, write_checkpoint(tmp_path / "src"), "openai/gpt-oss-20b")
    assert locate("gpt-oss", settings).source == "huggingface"


def test_a_known_model_that_is_not_here_says_how_to_get_it(settings, write_checkpoint):
    with pytest.raises(ModelNotFoundError, match="No model is installed yet"):
        locate("gpt-oss:120b", settings)
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(ModelNotFoundError, match="Installed: mine") as caught:
        locate("pocket", settings)
    assert caught.value.remedy == "Get it with: ossia pull pocket"


def test_an_unknown_name_names_what_is_installed(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine")
    with pytest.raises(ModelNotFoundError, match="mine") as caught:
        locate("mime", settings)
    assert "Installed: mine." in caught.value.remedy


def test_a_folder_given_by_path(settings, write_checkpoint, tmp_path):
    model = locate(str(write_checkpoint(tmp_path / "here")), settings)
    assert (model.source, model.loadable) == ("folder", True)
    (model.path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no safetensors file") as caught:
        require_loadable(locate(str(model.path), settings))
    assert "pull" not in caught.value.remedy


def test_synthetic_checkpoints_are_marked(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "random", ossia_synthetic=True)
    assert [model.synthetic for model in find_models(settings)] == [True]


@pytest.mark.parametrize("data", [b"", b"GGUF", b"x" * 5000, gguf_bytes("gpt-oss")[:60]])
def test_what_is_no_gguf_has_no_architecture(tmp_path, data):
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    assert gguf_architecture(path) == ""


def test_finding_writes_nothing(settings, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    find_models(settings)
    assert sorted(tmp_path.rglob("*")) == before
