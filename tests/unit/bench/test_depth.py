"""Decoding behind random keys and values."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ossia.bench.depth import measure_depth
from ossia.bench.make import Made
from ossia.kernels import cpu
from ossia.settings import Settings


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch):
    before = cpu.current()
    monkeypatch.setattr("ossia.bench.depth._BUFFER_BYTES", 1 << 20)
    yield
    cpu.configure(before.isa, before.threads)


@pytest.mark.parametrize("kind", ["int8", "bf16"])
def test_both_depths_are_measured_and_said_to_be_random(small, shared: Settings, made: Made, kind: str):
    settings = replace(shared, kv_cache=kind, threads=1)
    report = measure_depth(made.path.name, 200, rounds=2, sample_s=0.01, settings=settings)
    assert report.depth == 200
    assert report.kv_cache == kind
    assert len(report.short.samples) == len(report.deep.samples) == 2
    assert report.share == pytest.approx(
        np.median(np.array(report.deep.samples) / np.array(report.short.samples))
    )
    values = json.loads(json.dumps(report.to_dict()))
    assert values["random_kv"] is True
    assert values["plan"]["total"] == report.plan.total > values["plan"]["kv_full"]


def test_a_depth_past_the_models_positions_is_cut(small, shared: Settings, made: Made):
    limit = 131_072
    settings = replace(shared, threads=1)
    report = measure_depth(made.path.name, 10**9, rounds=1, sample_s=0.01, settings=settings)
    assert report.depth < report.context <= limit
