"""The queue: order of arrival, honest refusals, places that come back."""

import asyncio

import pytest

from ossia.errors import OverloadedError, StoppingError
from ossia.server.operations.admission import Admission


def test_tickets_are_called_in_order_of_arrival():
    async def scenario():
        admission = Admission(running=1, waiting=2)
        first, second, third = (admission.ticket() for _ in range(3))
        assert (first.ready, second.ready, third.ready) == (True, False, False)
        first.leave()
        assert (second.ready, third.ready) == (True, False)
        second.leave()
        await asyncio.wait_for(third.turn(), 1)

    asyncio.run(scenario())


def test_a_full_queue_refuses_and_says_when_to_come_back():
    admission = Admission(running=1, waiting=1)
    admission.ticket()
    admission.ticket()
    with pytest.raises(OverloadedError) as refused:
        admission.ticket()
    assert refused.value.retry_after_s >= 1
    assert str(refused.value.retry_after_s) in refused.value.remedy


def test_retry_after_grows_with_the_queue_and_with_what_answers_take(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    admission = Admission(running=1, waiting=8)
    ticket = admission.ticket()
    now[0] = 40.0
    ticket.leave()
    assert admission.retry_after_s() == 40
    admission.ticket()
    admission.ticket()
    assert admission.retry_after_s() == 80


def test_who_gives_up_while_waiting_leaves_the_queue():
    async def scenario():
        admission = Admission(running=1, waiting=2)
        first, second, third = (admission.ticket() for _ in range(3))
        waiting = asyncio.create_task(second.turn())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert admission.queued == 1
        first.leave()
        assert third.ready
        third.leave()
        third.leave()
        assert admission.idle

    asyncio.run(scenario())


def test_an_owner_has_no_more_places_than_its_key_allows():
    admission = Admission(running=4)
    ticket = admission.ticket("a", 1)
    with pytest.raises(OverloadedError):
        admission.ticket("a", 1)
    admission.ticket("b", 1)
    ticket.leave()
    admission.ticket("a", 1)


def test_a_closed_queue_refuses_who_comes_and_who_waits_and_lets_the_running_end():
    async def scenario():
        admission = Admission(running=1)
        first, second = admission.ticket(), admission.ticket()
        waiting = asyncio.create_task(second.turn())
        await asyncio.sleep(0)
        admission.close()
        with pytest.raises(StoppingError):
            await waiting
        with pytest.raises(StoppingError):
            admission.ticket()
        await first.turn()
        first.leave()
        assert admission.idle

    asyncio.run(scenario())
