"""Streams of events: what goes wrong before the first event, and after it."""

import asyncio

import pytest

from ossia.errors import InputError
from ossia.server import sse


def _told(error):
    return f"data: {error.message}\n\n".encode()


async def _sent(events) -> list[bytes]:
    response = await sse.stream(events, failure=_told)
    return [chunk async for chunk in response.body_iterator]


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
