"""Truncated, missing, foreign or altered files are each found and typed."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ossia.errors import CheckpointError, ConfigError, HashMismatchError
from ossia.hub.remote import pull_repo
from ossia.hub.sources import inspect_path, locate
from ossia.hub.verify import check_hashes, read_stamp, verify, write_stamp


@pytest.fixture
def folder(tmp_path, write_checkpoint):
    return write_checkpoint(tmp_path / "model", shards=3)


def test_a_right_model_passes_and_says_what_was_checked(folder):
    result = verify(inspect_path(folder))
    assert result.tensors == 3 + 2 * 19
    assert result.hashed == ()
    assert "model-00000-of-00002.safetensors" in result.unhashed


def test_a_stamped_model_is_checked_by_hash(folder):
    write_stamp(folder, "v1")
    seen: list[tuple[str, int, int]] = []
    result = verify(inspect_path(folder), progress=lambda *step: seen.append(step))
    assert set(result.hashed) == {path.name for path in folder.iterdir()} - {"ossia.json"}
    assert result.unhashed == ()
    assert {what for what, _, _ in seen} == {f"checking {folder}"}
    assert seen[-1][1] == seen[-1][2] == sum((folder / name).stat().st_size for name in result.hashed)


def test_one_changed_byte_is_found(folder):
    write_stamp(folder, "v1")
    shard = folder / "model-00001-of-00002.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(HashMismatchError, match="model-00001-of-00002") as caught:
        verify(inspect_path(folder))
    assert len(caught.value.value) == len(caught.value.limit) == 64
    assert caught.value.remedy.startswith("Run: ossia pull")


def test_a_stamped_file_that_is_gone_is_found(folder):
    write_stamp(folder, "v1")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"lacks tokenizer\.json"):
        check_hashes(folder)


def test_the_shared_cache_is_checked_by_blob_names(settings, hub):
    snapshot = pull_repo("openai/gpt-oss-20b", settings, endpoint=hub.url)
    hashed, unhashed = check_hashes(snapshot)
    assert len(hashed) == 6
    assert unhashed == ()
    blob = (snapshot / "tokenizer.json").resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    with pytest.raises(HashMismatchError, match=r"tokenizer\.json"):
        check_hashes(snapshot)


def test_a_missing_shard(folder, settings):
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match="1 of 3 shards missing"):
        verify(locate(str(folder), settings))


def test_a_truncated_shard(folder):
    shard = folder / "model-00000-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="truncated"):
        verify(inspect_path(folder))


def test_a_shard_cut_inside_its_header(folder):
    shard = folder / "model-00000-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:20])
    with pytest.raises(CheckpointError, match="header"):
        verify(inspect_path(folder))


def test_a_foreign_shard(folder):
    save_file({"stranger": np.zeros(4, np.float32)}, folder / "model-00000-of-00002.safetensors")
    with pytest.raises(CheckpointError, match="are not part of the model: stranger"):
        verify(inspect_path(folder))


def test_another_models_shard(folder, tmp_path, write_checkpoint):
    other = write_checkpoint(tmp_path / "other", shards=3, hidden_size=96)
    for name in ("model-00000-of-00002.safetensors",):
        shutil.copy(other / name, folder / name)
    with pytest.raises(CheckpointError, match="shape"):
        verify(inspect_path(folder))


def test_a_tensor_of_another_type(folder):
    shard = folder / "model-00000-of-00002.safetensors"
    tensors = load_file(shard)
    name = next(name for name in tensors if tensors[name].dtype == np.float32)
    tensors[name] = tensors[name].astype(np.int32)
    save_file(tensors, shard)
    with pytest.raises(CheckpointError, match="of type I32"):
        verify(inspect_path(folder))


def test_an_unknown_quantisation(folder):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "awq"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="awq") as caught:
        verify(inspect_path(folder))
    assert caught.value.limit == "mxfp4"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version": 1, "files": 3}', b"\xff"])
def test_an_unreadable_stamp_is_none(tmp_path, content):
    (tmp_path / "ossia.json").write_bytes(content)
    assert read_stamp(tmp_path) is None


def test_a_stamp_reads_back(folder):
    write_stamp(folder, "v1")
    stamp = read_stamp(folder)
    assert stamp is not None
    assert stamp.version == "v1"
    assert len(stamp.files) == 6
