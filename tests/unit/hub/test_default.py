"""The default model: named, else OSSIA_MODEL, else the last chosen, else pocket; never a synthetic one."""

import json
import os
from dataclasses import replace

import pytest

from ossia.hub.default import choose_default, forget, remember
from ossia.hub.sources import locate


@pytest.fixture
def mine(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "mine")
    return locate("mine", settings)


def test_pocket_when_nothing_was_said(settings):
    assert choose_default(None, settings) == "pocket"


def test_the_order(settings, mine):
    remember(mine, settings)
    assert choose_default(None, settings) == "mine"
    with_variable = replace(settings, model="gpt-oss:20b")
    assert choose_default(None, with_variable) == "gpt-oss:20b"
    assert choose_default("other/model", with_variable) == "other/model"


def test_forgotten_means_pocket(settings, mine):
    remember(mine, settings)
    forget(settings)
    assert choose_default(None, settings) == "pocket"
    forget(settings)  # twice does no harm


def test_a_remembered_model_that_is_gone_or_broken_means_pocket(settings, mine):
    remember(mine, settings)
    (mine.path / "model.safetensors").unlink()
    assert choose_default(None, settings) == "pocket"
    for file in mine.path.iterdir():
        file.unlink()
    mine.path.rmdir()
    assert choose_default(None, settings) == "pocket"


def test_a_synthetic_checkpoint_is_never_remembered(settings, write_checkpoint):
    write_checkpoint(settings.data_dir / "models" / "random", ossia_synthetic=True)
    assert remember(locate("random", settings), settings) is False
    assert choose_default(None, settings) == "pocket"
    assert not settings.config_dir.exists()


def test_a_model_that_became_synthetic_is_no_default(settings, mine, write_checkpoint):
    remember(mine, settings)
    write_checkpoint(mine.path, ossia_synthetic=True)
    assert choose_default(None, settings) == "pocket"


def test_a_folder_is_remembered_by_its_path(settings, write_checkpoint, tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "here")
    monkeypatch.chdir(tmp_path)
    assert remember(locate("./here", settings), settings)
    monkeypatch.chdir("/")
    assert choose_default(None, settings) == str(tmp_path / "here")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": 3}', b'{"model": ""}', b"\xff"])
def test_an_unreadable_memory_means_pocket(settings, content):
    settings.config_dir.mkdir(parents=True)
    (settings.config_dir / "model.json").write_bytes(content)
    assert choose_default(None, settings) == "pocket"


def test_the_memory_is_private_and_holds_the_name_only(settings, mine):
    remember(mine, settings)
    path = settings.config_dir / "model.json"
    assert json.loads(path.read_text()) == {"model": "mine"}
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600


def test_remembering_the_same_again_writes_nothing(settings, mine):
    remember(mine, settings)
    path = settings.config_dir / "model.json"
    before = path.stat().st_ino
    assert remember(mine, settings)
    assert path.stat().st_ino == before
