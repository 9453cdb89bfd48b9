"""YaRN's numbers as published, and a table whose rows do not depend on who asks."""

import math

import numpy as np
import pytest

from ossia.model.config import RopeConfig
from ossia.model.rope import RopeTable, attention_factor, inverse_frequencies

GPT_OSS = RopeConfig(150_000.0, 32.0, 32.0, 1.0, 4096)


def test_the_published_ramp():
    plain = inverse_frequencies(RopeConfig(150_000.0), 64)
    slowed = plain / inverse_frequencies(GPT_OSS, 64)
    # The ramp runs from pair 8.0928 to pair 17.3980.
    assert slowed[:9] == pytest.approx(1)
    assert slowed[18:] == pytest.approx(32)
    share = (12 - 8.0928) / (17.3980 - 8.0928)
    assert 1 / slowed[12] == pytest.approx(1 - share + share / 32, rel=1e-4)
    assert (np.diff(slowed) >= 0).all()


def test_truncation_rounds_the_ramp_outwards():
    truncated = RopeConfig(150_000.0, 32.0, 32.0, 1.0, 4096, truncate=True)
    slowed = inverse_frequencies(RopeConfig(150_000.0), 64) / inverse_frequencies(truncated, 64)
    share = (12 - 8) / (18 - 8)
    assert 1 / slowed[12] == pytest.approx(1 - share + share / 32)


def test_attention_factor():
    assert attention_factor(GPT_OSS) == pytest.approx(1.346574, abs=1e-6)
    assert attention_factor(RopeConfig()) == 1
    assert attention_factor(RopeConfig(factor=32.0, attention_factor=1.5)) == 1.5


def test_rows_are_the_float64_angles_rounded_once():
    table = RopeTable(GPT_OSS, 64, 131_072)
    positions = np.array([0, 1, 131_071], np.int32)
    cos, sin = np.empty((3, 32), np.float32), np.empty((3, 32), np.float32)
    table.write(positions, cos, sin)
    for i, position in enumerate(positions.tolist()):
        for pair, frequency in enumerate(inverse_frequencies(GPT_OSS, 64).tolist()):
            angle = position * frequency
            assert cos[i, pair] == pytest.approx(math.cos(angle) * 1.3465736, abs=2e-7)
            assert sin[i, pair] == pytest.approx(math.sin(angle) * 1.3465736, abs=2e-7)


def test_a_row_does_not_depend_on_which_others_are_asked_for():
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 5000, 300).astype(np.int32)
    whole = RopeTable(GPT_OSS, 64, 5000)
    cos, sin = np.empty((300, 32), np.float32), np.empty((300, 32), np.float32)
    whole.write(positions, cos, sin)
    alone = RopeTable(GPT_OSS, 64, 5000)
    for i in range(300):
        c, s = np.empty((1, 32), np.float32), np.empty((1, 32), np.float32)
        alone.write(positions[i : i + 1], c, s)
        assert (c[0] == cos[i]).all()
        assert (s[0] == sin[i]).all()
