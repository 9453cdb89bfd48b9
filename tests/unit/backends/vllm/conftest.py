"""Puts the fake server within reach of the tests here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_vllm import FakeVllm


@pytest.fixture
def fake():
    """A fake vLLM server that runs."""
    with FakeVllm() as server:
        yield server
