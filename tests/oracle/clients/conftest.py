"""Puts the puppet, a scripted model in a real server, and the walk over types within reach of the tests."""

import sys
from pathlib import Path

import openai
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "server"))
sys.path.insert(0, str(Path(__file__).parent))

from puppet import Puppet, running, service_of


@pytest.fixture(scope="module")
def served(request):
    """A puppet that answers what the module's `turn` makes of its prompt, and the URL it is served at."""
    puppet = Puppet(request.module.turn)
    with running(service_of(puppet)) as url:
        yield puppet, url


@pytest.fixture
def client(served):
    """OpenAI's client of it."""
    with openai.OpenAI(base_url=f"{served[1]}/v1", api_key="none", max_retries=0) as client:
        yield client
