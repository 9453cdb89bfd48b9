"""GGUF models from their place on the disk to an answer: as llama.cpp, LM Studio and Ollama keep them."""

import asyncio
import hashlib
import json
import shutil
from collections import namedtuple

import psutil
import pytest

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.errors import HashMismatchError, MemoryLimitError
from ossia.hub.info import describe
from ossia.hub.load import load
from ossia.hub.sources import find_models, inspect_path, locate
from ossia.hub.verify import verify
from ossia.model.memory.fit import fit
from ossia.model.sampling import SamplingParams

Memory = namedtuple("Memory", "available")


def answer(path, settings, numerics="q8"):
    """Twenty greedy tokens after a few of a prompt."""
    model = load(str(path), settings=settings, numerics=numerics, threads=1)

    async def tokens():
        params = SamplingParams(temperature=0.0, max_tokens=20)
        return [token.id async for token in model.backend.generate([1, 40, 41, 42, 43], params)]

    try:
        return asyncio.run(tokens())
    finally:
        model.close()


def put_in_ollama(settings, name, file):
    """Lay a GGUF file out as Ollama does: a manifest, and a blob named after its hash."""
    model, tag = name.split(":")
    data = file.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    blob = settings.ollama_models / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    manifest = settings.ollama_models / "manifests" / "registry.ollama.ai" / "library" / model / tag
    manifest.parent.mkdir(parents=True, exist_ok=True)
    layer = {
        "mediaType": "application/vnd.ollama.image.model",
        "digest": f"sha256:{digest}",
        "size": len(data),
    }
    manifest.write_text(json.dumps({"layers": [layer]}))
    return blob


@pytest.mark.parametrize("file", ["tiny.gguf", "ollama.gguf"])
def test_a_gguf_file_answers_as_the_same_models_safetensors(tiny_model, settings, file):
    assert answer(tiny_model / file, settings) == answer(tiny_model / "hf", settings)


def test_ollamas_blob_is_found_by_name_and_answers(tiny_model, settings):
    blob = put_in_ollama(settings, "gpt-oss:20b", tiny_model / "ollama.gguf")
    assert locate("gpt-oss:20b", settings).path == blob
    assert answer("gpt-oss:20b", settings) == answer(tiny_model / "hf", settings)


def test_a_gguf_of_the_hugging_face_cache_answers(tiny_model, settings):
    root = settings.hf_home / "hub" / "models--someone--gpt-oss-tiny-GGUF"
    snapshot = root / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (root / "blobs").mkdir()
    digest = hashlib.sha256((tiny_model / "tiny.gguf").read_bytes()).hexdigest()
    shutil.copy(tiny_model / "tiny.gguf", root / "blobs" / digest)
    (snapshot / "tiny.gguf").symlink_to(f"../../blobs/{digest}")
    [model] = find_models(settings)
    assert (model.source, model.format, model.loadable) == ("huggingface", "gguf", True)
    assert verify(model).hashed == ("tiny.gguf",)
    assert answer(model.name, settings) == answer(tiny_model / "hf", settings)


def test_verification_checks_tensors_and_the_hash_in_a_blobs_name(tiny_model, settings):
    blob = put_in_ollama(settings, "gpt-oss:20b", tiny_model / "tiny.gguf")
    model = locate("gpt-oss:20b", settings)
    seen = []
    checked = verify(model, progress=lambda *step: seen.append(step))
    assert (checked.hashed, checked.unhashed) == ((blob.name,), ())
    assert checked.tensors == 3 + 2 * 17
    assert seen[-1][1] == seen[-1][2] == blob.stat().st_size
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    with pytest.raises(HashMismatchError, match=blob.name):
        verify(model)
    plain = verify(inspect_path(tiny_model / "tiny.gguf"))
    assert (plain.hashed, plain.unhashed) == ((), ("tiny.gguf",))


def test_experts_of_a_gguf_file_count_as_memory_of_our_own(tiny_model, settings, monkeypatch):
    info = describe(str(tiny_model / "tiny.gguf"), settings=settings)
    total = info.memory.total
    assert fit(info.memory, info.config, total, mapped=False) == "fits"
    assert fit(info.memory, info.config, total - 1, mapped=False) == "too large"
    assert fit(info.memory, info.config, total - 1) == "fits"  # without the embedding
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(1000))
    assert describe(str(tiny_model / "tiny.gguf"), settings=settings).fit == "too large"
    with pytest.raises(MemoryLimitError):
        load(str(tiny_model / "tiny.gguf"), settings=settings)


def test_progress_tells_bytes(tiny_model, settings):
    seen = []
    load(
        str(tiny_model / "tiny.gguf"), settings=settings, progress=lambda *step: seen.append(step), threads=1
    ).close()
    assert seen[-1][1] == seen[-1][2] > 0


def test_the_commands_take_a_gguf_file(tiny_model, settings, capsys):
    app = App(settings)
    put_in_ollama(settings, "gpt-oss:20b", tiny_model / "ollama.gguf")
    assert execute(["models", "--json"], app) == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["format"], listed["usable"], listed["source"]) == ("gguf", True, "ollama")
    path = str(tiny_model / "tiny.gguf")
    assert execute(["info", path, "--json"], app) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["format"], described["usable"]) == ("gguf", True)
    assert described["config"]["num_hidden_layers"] == 2
    assert execute(["info", path, "--verify"], app) == 0
    assert execute(["run", "-m", path, "--max-tokens", "8", "hello"], app) in (0, 7)  # 7: cut at eight tokens
    assert "config.json" not in capsys.readouterr().err


def test_harmony_is_shown_in_a_gguf_files_vocabulary(tiny_model, settings, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("[1, 40, 41, 5, 42, 2]")
    said = []
    for model in ("tiny.gguf", "hf"):
        command = ["harmony", "show", "-m", str(tiny_model / model), str(tmp_path / "ids.txt")]
        said.append((execute(command, App(settings)), capsys.readouterr().out.splitlines()[1:]))
    assert said[0] == said[1]
    assert any("<|start|>" in line for line in said[0][1])
