"""A tiny random gpt-oss with real routing, sinks and a window of 16, in every numerics, without torch."""

import sys
from pathlib import Path

import pytest

from ossia.engine import EngineOptions, build_engine
from ossia.kernels import cpu
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import load_config
from ossia.model.weights import load_weights

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))

from tiny_gptoss import CONFIG, as_stored, quantised, tiny_tensors, write_checkpoint


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """numerics → (config, weights, numerics)."""
    folder = write_checkpoint(tmp_path_factory.mktemp("tiny"), as_stored(tiny_tensors()), quantised(CONFIG))
    config = load_config(folder)
    return {
        numerics: (config, load_weights(open_checkpoint(folder), config, numerics), numerics)
        for numerics in ("q8", "bf16", "f32")
    }


@pytest.fixture
def engine_of(models):
    """engine_of(numerics, observer=None, **options): a fresh engine on the tiny model."""

    def make(numerics, observer=None, **options):
        options = {"kv_bytes": 4 << 20, "max_batch_tokens": 1024, "max_sequences": 8} | options
        return build_engine(*models[numerics], EngineOptions(**options), observer=observer)

    return make


@pytest.fixture
def threads():
    """threads(n): let the kernels use n threads for this test."""
    before = cpu.current()
    yield lambda n: cpu.configure(before.isa, n)
    cpu.configure(before.isa, before.threads)


class FreeRows:
    """Costs of steps by which every draft that may come true pays."""

    def note(self, rows, seconds): ...

    def known(self, rows):
        return True

    def seconds(self, rows):
        return 1.0


@pytest.fixture(scope="session")
def draft_freely():
    """draft_freely(engine): decide on drafts by their odds alone, not by measured time."""

    def install(engine):
        engine._speculation.costs = FreeRows()

    return install
