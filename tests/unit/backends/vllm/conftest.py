"""Puts the fake server within reach of the tests here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_vllm import FakeVllm


@pytest.fixture(scope="module")
def running_fake():
    with FakeVllm() as server:
        yield server


@pytest.fixture
def fake(running_fake):
    """A fake vLLM server that runs, as new."""
    running_fake.reset()
    return running_fake
