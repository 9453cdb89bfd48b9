"""What `remove` deletes, what it refuses, and the bytes it reports."""

import pytest

from ossia.errors import InputError, ModelNotFoundError
from ossia.hub.remote import pull_repo
from ossia.hub.remove import remove
from ossia.hub.sources import find_models


def test_ossias_own_model_goes_with_its_cached_base(settings, write_checkpoint):
    folder = write_checkpoint(settings.data_dir / "models" / "pocket")
    size = sum(path.stat().st_size for path in folder.iterdir())
    base = settings.cache_dir / "pocket-base"
    base.mkdir(parents=True)
    (base / "base.gguf").write_bytes(bytes(1000))
    removed = remove("ossia/pocket", settings=settings)
    assert (removed.name, removed.size_bytes) == ("pocket", size + 1000)
    assert list((settings.data_dir / "models").iterdir()) == []
    assert not base.exists()


def test_another_own_model_leaves_pocket_and_its_base(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "pocket")
    write_checkpoint(settings.data_dir / "models" / "mine")
    remove("mine", settings=settings)
    assert [model.name for model in find_models(settings)] == ["pocket"]


def test_a_model_in_its_original_layout_goes_whole(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine" / "original")
    remove("mine", settings=settings)
    assert list((settings.data_dir / "models").iterdir()) == []


def test_an_unfinished_download_can_be_removed(settings):
    blobs = settings.hf_home / "hub" / "models--openai--gpt-oss-20b" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x.incomplete").write_bytes(bytes(500))
    assert remove("gpt-oss:20b", shared=True, settings=settings).size_bytes == 500
    assert not blobs.exists()


def test_the_shared_cache_needs_confirming_and_counts_each_byte_once(settings, hub):
    snapshot = pull_repo("openai/gpt-oss-20b", settings, endpoint=hub.url)
    with pytest.raises(InputError, match="other programs use too") as caught:
        remove("gpt-oss:20b", settings=settings)
    assert "--shared" in caught.value.remedy
    assert snapshot.is_dir()
    repo = snapshot.parents[1]
    size = sum(path.stat().st_size for path in (repo / "blobs").iterdir())
    removed = remove("gpt-oss:20b", shared=True, settings=settings)
    assert size <= removed.size_bytes < size + 1000  # the reference to the commit
    assert not repo.exists()
    assert find_models(settings) == []


def test_a_folder_of_the_users_is_left_alone(settings, write_checkpoint, tmp_path):
    folder = write_checkpoint(tmp_path / "mine")
    with pytest.raises(InputError, match="not put there by Ossia") as caught:
        remove(str(folder), shared=True, settings=settings)
    assert caught.value.remedy
    assert (folder / "config.json").exists()


def test_lm_studios_model_is_left_alone(settings, write_checkpoint):
    write_checkpoint(settings.lmstudio_home / "models" / "someone" / "tuned")
    with pytest.raises(InputError, match="not put there by Ossia"):
        remove("someone/tuned", shared=True, settings=settings)
    assert find_models(settings)[0].loadable


def test_what_is_not_here_cannot_be_removed(settings):
    with pytest.raises(ModelNotFoundError):
        remove("pocket", settings=settings)
