"""What the bench's tests share: private folders, and one synthetic checkpoint made once."""

from dataclasses import replace
from pathlib import Path

import pytest

from ossia.bench.make import Made, make_checkpoint
from ossia.settings import Settings, load_settings


def settings_in(folder: Path) -> Settings:
    env = {
        "OSSIA_HOME": str(folder / "home"),
        "HF_HOME": str(folder / "hf"),
        "OLLAMA_MODELS": str(folder / "o"),
    }
    return replace(load_settings(env), lmstudio_home=folder / "lmstudio")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of the folder that `made` lies in; not to be written to."""
    return settings_in(tmp_path_factory.mktemp("bench"))


@pytest.fixture(scope="session")
def made(shared: Settings) -> Made:
    """The tiny shape with one layer."""
    return make_checkpoint("tiny", layers=1, settings=shared)
