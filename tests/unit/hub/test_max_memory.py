"""A limit of memory from `ossia.load` and the command line to the tokens: the same, and what was read."""

import asyncio
from collections import namedtuple

import psutil
import pytest

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.hub.load import load
from ossia.model.checkpoint import read_config
from ossia.model.memory.fit import part_bytes, slot_bytes, smallest
from ossia.model.plan import memory_plan
from ossia.model.sampling import SamplingParams

CONTEXT = 256


def occupy(monkeypatch, size_bytes):
    """Let the process hold `size_bytes` before it loads anything, whatever earlier tests have left in it."""
    memory = namedtuple("Memory", "rss")(size_bytes)
    monkeypatch.setattr(psutil, "Process", lambda: namedtuple("Process", "memory_info")(lambda: memory))


@pytest.fixture
def folder(write_checkpoint, settings):
    return write_checkpoint(settings.data_dir / "models" / "mine", num_hidden_layers=3)


@pytest.fixture
def limit(folder, monkeypatch):
    """Room for the experts of a layer and one more, in a process whose size does not change."""
    occupy(monkeypatch, 100_000_000)
    config = read_config(folder)
    return smallest(memory_plan(config, "q8", CONTEXT), config) + slot_bytes(part_bytes(config))


def answer(model):
    async def follow():
        params = SamplingParams(max_tokens=24, temperature=0.0)
        return [token.id async for token in model.backend.generate(list(range(40)), params)]

    return asyncio.run(follow())


def test_the_tokens_are_those_of_the_whole_model(settings, limit):
    with load("mine", settings=settings, max_context=CONTEXT) as model:
        expected = answer(model)
        assert model.backend.stats.experts is None
    with load("mine", settings=settings, max_context=CONTEXT, max_memory=limit) as model:
        assert answer(model) == expected
        experts = model.backend.stats.experts
    assert experts.asked > experts.read > 3 * 4
    assert 0 < experts.hit_rate < 1


def test_a_wide_limit_streams_nothing(settings, limit):
    with load("mine", settings=settings, max_memory="8GiB") as model:
        assert model.backend.stats.experts is None
        assert model.backend.context_length == 4096  # the model's own; 8,192 where it has more


def test_the_command_line_takes_a_limit_and_tells_what_was_read(settings, folder, monkeypatch, capsys):
    occupy(monkeypatch, 100_000_000)
    config = read_config(folder)
    room = smallest(memory_plan(config, "q8", 4096), config) + slot_bytes(part_bytes(config))
    option = f"{-(-room // 1000)}KB"
    execute(["run", "-m", "mine", "--max-memory", option, "--max-tokens", "8", "hello"], App(settings))
    assert "% found in memory" in capsys.readouterr().err


def test_the_command_line_refuses_what_is_no_size(settings, capsys):
    assert execute(["run", "--max-memory", "lots", "hello"], App(settings)) == 2
    assert "lots is not a size such as 8GiB" in capsys.readouterr().err


def test_the_command_line_names_the_smallest_limit(settings, folder, monkeypatch, capsys):
    occupy(monkeypatch, 100_000_000)
    assert execute(["run", "-m", "mine", "--max-memory", "1MB", "hello"], App(settings)) == 4
    assert "--max-memory 0." in capsys.readouterr().err
