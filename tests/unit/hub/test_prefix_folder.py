"""Where `ossia.load` keeps computed prompts, if it does."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import ossia
from ossia.model.sampling import SamplingParams
from ossia.settings import Settings

PROMPT = [(7 * i) % 90 for i in range(1200)]


@pytest.fixture
def mine(settings: Settings, write_checkpoint) -> Settings:
    write_checkpoint(settings.data_dir / "models" / "mine")
    return settings


def ask(settings: Settings, **options: object) -> tuple[list[int], int]:
    """The answer's ids, and how many tokens came from the disk."""

    async def collect() -> list[int]:
        params = SamplingParams(max_tokens=3, temperature=0.0)
        return [token.id async for token in model.backend.generate(PROMPT, params)]

    with ossia.load("mine", settings=settings, threads=1, **options) as model:
        ids = asyncio.run(collect())
        model.backend._engine.flush()
        return ids, model.backend.stats.restored_tokens


def test_without_a_setting_nothing_is_written(mine: Settings) -> None:
    before = sorted(mine.data_dir.parent.rglob("*"))
    ask(mine)
    assert sorted(mine.data_dir.parent.rglob("*")) == before


def test_a_folder_that_is_given_is_used(mine: Settings, tmp_path: Path) -> None:
    first = ask(mine, prefix_cache=tmp_path / "kept")
    assert (tmp_path / "kept").is_dir()
    assert ask(mine, prefix_cache=tmp_path / "kept") == (first[0], len(PROMPT) - 1)
    assert not (mine.cache_dir / "prefixes").exists()


def test_the_setting_means_the_cache_folder_and_its_size(mine: Settings) -> None:
    on = replace(mine, prefix_cache_bytes=1 << 30)
    assert ask(on)[1] == 0
    assert ask(on)[1] == len(PROMPT) - 1
    small = replace(mine, prefix_cache_bytes=5000)
    ask(small)
    ask(small, numerics="f32")
    kept = (mine.cache_dir / "prefixes").glob("*/*")
    assert sum(file.stat().st_size for file in kept) <= 5000


def test_the_setting_may_name_a_folder(mine: Settings, tmp_path: Path) -> None:
    named = replace(mine, prefix_cache_bytes=1 << 30, prefix_cache_dir=tmp_path / "named")
    assert ask(named)[1] == 0
    assert ask(named)[1] == len(PROMPT) - 1
    assert not (mine.cache_dir / "prefixes").exists()
