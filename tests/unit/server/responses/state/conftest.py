"""A server with a store, and a client to it."""

import contextlib
from pathlib import Path

import httpx2
import pytest
from puppet import Puppet, running, service_of

from ossia.server.store.store import Store


@pytest.fixture
def serving(tmp_path: Path):
    """Starts a server for a puppet over the same store each time."""

    @contextlib.contextmanager
    def serve(puppet: Puppet, **options):
        puppet._closed = False
        service = service_of(puppet, store=Store.open(tmp_path / "ossia.db"), **options)
        with running(service) as url, httpx2.Client(base_url=f"{url}/v1") as client:
            yield client

    return serve
