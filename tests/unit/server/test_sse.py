"""Streams of events: what goes wrong before the first event or after it, silence, a client that leaves."""

import asyncio
import json

import pytest

from ossia.errors import InputError
from ossia.server import sse


def _told(error):
    return f"data: {error.message}\n\n".encode()


async def _sent(events, leaves_after: int | None = None, **options) -> list[bytes]:
    """What a client is sent that goes away after so many pieces."""
    response = await sse.stream(events, failure=_told, **options)
    pieces: list[bytes] = []
    gone = asyncio.Event()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.body" and message["body"]:
            pieces.append(message["body"])
            if len(pieces) == leaves_after:
                gone.set()

    await asyncio.wait_for(response({"type": "http"}, receive, send), 10)
    return pieces


def test_what_is_wrong_from_the_beginning_is_raised():
    async def events():
        raise InputError("no")
        yield b""

    with pytest.raises(InputError):
        asyncio.run(_sent(events()))


def test_what_goes_wrong_later_is_told_in_the_stream():
    async def events():
        yield b"one"
        raise InputError("no")

    assert asyncio.run(_sent(events())) == [b"one", b"data: no\n\n"]


def test_what_goes_wrong_after_the_headers_but_before_any_event_is_told_too(monkeypatch):
    monkeypatch.setattr(sse, "GRACE_S", 0.01)

    async def events():
        await asyncio.sleep(0.05)
        raise InputError("no")
        yield b""

    assert asyncio.run(_sent(events())) == [b"data: no\n\n"]


def test_comments_fill_the_silence_and_only_the_silence(monkeypatch):
    monkeypatch.setattr(sse, "GRACE_S", 0.01)
    done = asyncio.Event

    async def scenario():
        go = done()

        async def events():
            await go.wait()
            yield b"one"
            yield b"two"

        said = iter((b": 1\n\n", b": 2\n\n", b": 3\n\n"))

        def comment():
            text = next(said)
            if text == b": 3\n\n":
                go.set()
            return text

        return await _sent(events(), comment=comment, comment_s=0.02)

    assert asyncio.run(scenario()) == [b": 1\n\n", b": 2\n\n", b": 3\n\n", b"one", b"two"]


@pytest.mark.parametrize("busy", [True, False], ids=["between events", "while waiting for one"])
def test_a_client_that_leaves_ends_the_generator(busy):
    ended = []

    async def events():
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0 if busy else 60)
        finally:
            ended.append(True)

    asyncio.run(_sent(events(), leaves_after=1))
    assert ended == [True]


def test_a_client_that_leaves_before_the_first_event_ends_the_generator(monkeypatch):
    monkeypatch.setattr(sse, "GRACE_S", 0.01)
    ended = []

    async def events():
        try:
            await asyncio.sleep(60)
            yield b""
        finally:
            ended.append(True)

    asyncio.run(_sent(events(), leaves_after=1, comment_s=0.01))
    assert ended == [True]


def test_what_orjson_does_not_write_is_written_too():
    event = {"type": "x", "whole": 2**70, "half": "\ud800"}
    told = sse.encode(event, "x")
    assert json.loads(told.splitlines()[1].removeprefix(b"data: ")) == event
