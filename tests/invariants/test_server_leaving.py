"""Clients that go away, over the real engine: whenever they leave, nothing of them stays behind.

Random weights over the real vocabulary: an answer of theirs has no end but the limit, so every client here
leaves in the middle, if it comes so far. They leave before their request is complete, in the queue, and after
any number of events, in every dialect, by closing and by cutting the connection.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn

from ossia.agent.model import Model
from ossia.backends.native import NativeBackend
from ossia.bench.make import make_checkpoint
from ossia.hub.load import load
from ossia.server.app import build_app
from ossia.server.models.fixed import FixedModel
from ossia.server.operations.admission import Admission
from ossia.server.service import Service
from ossia.settings import load_settings

CLIENTS = 200
QUESTION = [{"role": "user", "content": "Go on for ever."}]
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": QUESTION, "stream": True}),
    ("/v1/chat/completions", {"messages": QUESTION, "stream": True, "n": 2}),
    ("/v1/chat/completions", {"messages": QUESTION}),
    ("/v1/responses", {"input": "Go on for ever.", "stream": True}),
    ("/v1/responses", {"input": "Go on for ever."}),
    ("/openresponses/v1/responses", {"input": "Go on for ever.", "stream": True, "store": False}),
    ("/api/chat", {"messages": QUESTION}),
    ("/api/generate", {"prompt": "Go on for ever."}),
]


@pytest.fixture
def model(tmp_path) -> Iterator[Model]:
    settings = load_settings({"OSSIA_HOME": str(tmp_path)})
    made = make_checkpoint("tiny", settings=settings)
    with load(str(made.path), settings=settings, threads=1, max_context=16_384, max_sequences=32) as loaded:
        yield loaded


@asynccontextmanager
async def serving(service: Service):
    """A server in this event loop; yields its port."""
    server = uvicorn.Server(uvicorn.Config(build_app(service), port=0, log_config=None))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await task


def streams(path: str, fields: dict[str, Any]) -> bool:
    """Whether the answer comes in pieces; Ollama's does unless it is asked not to."""
    return fields.get("stream", path.startswith("/api/"))


async def leave_early(port: int, model: str, rng: random.Random) -> int:
    """Ask for something, read a few events of the answer, and go; returns how many were read."""
    path, fields = rng.choice(REQUESTS)
    body = json.dumps({"model": model, **fields}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    events, wanted = 0, rng.choice([1, 5, 20])
    patience = rng.choice([0.0, 0.1, 20.0]) if streams(path, fields) else rng.choice([0.0, 0.1, 0.5])
    if rng.random() < 0.9:  # the others leave before they have said what they want
        writer.write(body)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while events < wanted:
                    line = await reader.readline()
                    assert line, "the server ended an answer that has no end"
                    events += line.startswith((b"data: ", b'{"'))
    if rng.random() < 0.5:
        writer.transport.abort()
    writer.close()
    return events


async def until_idle(service: Service, backend: NativeBackend) -> None:
    """Wait until nobody is being answered; a client's leaving is noticed in its own time."""
    async with asyncio.timeout(20):
        while not service.admission.idle or backend.stats.running + backend.stats.waiting:
            await asyncio.sleep(0.01)


def test_clients_that_leave_in_the_middle_leave_nothing_behind(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    backend = model.backend
    assert isinstance(backend, NativeBackend)

    async def main() -> int:
        service = Service(FixedModel(model), admission=Admission(running=32, waiting=CLIENTS))
        rng = random.Random(1)
        async with serving(service) as port:
            before = len(asyncio.all_tasks())
            clients = [
                leave_early(port, model.card.name, random.Random(rng.random())) for _ in range(CLIENTS)
            ]
            events = sum(await asyncio.gather(*clients))
            await until_idle(service, backend)
            for _ in range(200):  # the connections' own tasks end a moment later
                if len(asyncio.all_tasks()) <= before:
                    break
                await asyncio.sleep(0.01)
            assert len(asyncio.all_tasks()) <= before
            stats = backend.stats
            assert (stats.running, stats.waiting) == (0, 0)
            assert (stats.full_blocks_in_use, stats.window_blocks_in_use) == (0, 0)
            assert not service.tasks
        return events

    with caplog.at_level("ERROR"):
        assert asyncio.run(main()) > CLIENTS  # many were in the middle
    assert caplog.text == ""  # to leave is no error
