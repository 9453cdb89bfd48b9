"""Runs: followed by many, from anywhere, ended in every way, and kept no longer than they should be."""

import asyncio

import pytest

from ossia.errors import BackendError, DiskSpaceError, InputError
from ossia.server.responses.state.runs import Run, Runs


class Story:
    """A source of events that stops where it is told to; `ended`: what was stored."""

    def __init__(self, *events, pause: int | None = None, error: Exception | None = None, full: bool = False):
        self.events, self.pause, self.error, self.full = events, pause, error, full
        self.ended: list[dict] = []
        self.closed = False

    async def source(self):
        try:
            for at, event in enumerate(self.events):
                if at == self.pause:
                    await asyncio.sleep(60)
                yield event
            if self.error is not None:
                raise self.error
            if self.pause == len(self.events):
                await asyncio.sleep(60)
        finally:
            self.closed = True

    async def end(self, response):
        self.ended.append(response)
        if self.full:
            raise DiskSpaceError("the disk is full")


def life(kind, status, **more):
    return {"type": f"response.{kind}", "response": {"id": "resp_1", "status": status, "output": [], **more}}


ITEM = {"id": "msg_1", "type": "message"}
BEGUN = life("created", "in_progress")
DONE = {"type": "response.output_item.done", "output_index": 0, "item": ITEM}
OVER = life("completed", "completed", output=[ITEM])


def run_of(**options) -> Run:
    return Run("", {"id": "resp_1", "status": "in_progress", "output": []}, **options)


async def followed(run: Run, after: int = -1) -> list[dict]:
    return [event async for event in run.follow(after)]


def test_any_number_read_from_anywhere():
    async def go():
        story, run, runs = Story(BEGUN, DONE, OVER), run_of(), Runs(set())
        early = asyncio.create_task(followed(run))
        await asyncio.sleep(0)
        runs.start(run, story.source(), story.end)
        everything = await early
        assert [event["type"] for event in everything] == [e["type"] for e in story.events]
        assert [event["sequence_number"] for event in everything] == [0, 1, 2]
        assert await followed(run, 0) == everything[1:]
        assert await followed(run, 99) == []
        assert await run.result() == OVER["response"]
        assert runs.get("", "resp_1") is run
        assert runs.get("other", "resp_1") is None

    asyncio.run(go())


def test_what_is_told_to_have_ended_was_stored_before():
    async def go():
        story, run = Story(BEGUN, OVER), run_of()
        told_before: list[str] = []

        async def end(response):
            await asyncio.sleep(0.01)
            told_before.extend(event["type"] for event in run.events)

        Runs(set()).start(run, story.source(), end)
        assert (await followed(run))[-1]["type"] == "response.completed"
        assert told_before == ["response.created"]

    asyncio.run(go())


def test_a_cancelled_run_keeps_what_was_complete():
    async def go():
        tasks: set = set()
        story, run, runs = Story(BEGUN, DONE, OVER, pause=2), run_of(), Runs(tasks)
        runs.start(run, story.source(), story.end)
        reader = asyncio.create_task(followed(run))
        await asyncio.sleep(0.01)
        await run.cancel()
        assert story.closed
        told = await reader
        assert told[-1]["type"] == "response.incomplete"
        assert told[-1]["response"] == {"id": "resp_1", "status": "cancelled", "output": [ITEM]}
        assert story.ended == [told[-1]["response"]]
        await run.cancel()
        await asyncio.sleep(0)
        assert not tasks

    asyncio.run(go())


@pytest.mark.parametrize("background", [False, True])
def test_a_client_that_leaves_ends_only_what_is_not_in_the_background(background):
    async def go():
        story, run = Story(BEGUN, pause=1), run_of(background=background)
        Runs(set()).start(run, story.source(), story.end)
        await asyncio.sleep(0.01)
        await run.leave()
        assert run.over is not background
        await run.cancel()

    asyncio.run(go())


def test_a_run_that_is_cancelled_at_once_has_ended_too():
    async def go():
        story, run = Story(BEGUN, pause=0), run_of()
        Runs(set()).start(run, story.source(), story.end)
        await run.cancel()
        assert (run.over, story.closed, len(story.ended)) == (True, True, 1)
        assert await followed(run) == []

    asyncio.run(go())


def test_an_error_before_the_first_event_is_raised():
    async def go():
        story, run = Story(error=InputError("too long")), run_of()
        Runs(set()).start(run, story.source(), story.end)
        with pytest.raises(InputError):
            await followed(run)
        with pytest.raises(InputError):
            await run.result()
        assert story.ended[0]["status"] == "failed"

    asyncio.run(go())


def test_an_error_later_is_told():
    async def go():
        story, run = Story(BEGUN, DONE, error=BackendError("gone")), run_of()
        Runs(set()).start(run, story.source(), story.end)
        last = (await followed(run))[-1]
        assert last["type"] == "response.failed"
        assert last["response"]["error"] == {"code": "server_error", "message": "gone"}
        assert last["response"]["output"] == [ITEM]
        with pytest.raises(BackendError):
            await run.result()

    asyncio.run(go())


def test_a_fault_of_ours_is_logged_and_told(caplog):
    async def go():
        story, run = Story(BEGUN, error=ValueError("secret")), run_of()
        Runs(set()).start(run, story.source(), story.end)
        last = (await followed(run))[-1]
        assert "secret" not in str(last)
        assert last["type"] == "response.failed"

    asyncio.run(go())
    assert "secret" in caplog.text


def test_what_cannot_be_stored_has_not_been_completed(caplog):
    async def go():
        story, run = Story(BEGUN, OVER, full=True), run_of()
        Runs(set()).start(run, story.source(), story.end)
        assert [event["type"] for event in await followed(run)] == ["response.created", "response.failed"]

    asyncio.run(go())
    assert "could not be stored" in caplog.text


def test_runs_that_are_over_are_kept_a_while_and_not_too_many():
    async def go():
        runs = Runs(set(), keep_s=0.05, max_kept=2)
        for name in ("a", "b", "c", "d"):
            run = Run("", {"id": name, "status": "", "output": []}, kept=name != "d")
            runs.start(run, Story(BEGUN, OVER).source(), Story().end)
            await run.result()
            await asyncio.sleep(0)
        assert [runs.get("", name) is not None for name in "abcd"] == [False, True, True, False]
        await asyncio.sleep(0.1)
        assert [runs.get("", name) for name in "abcd"] == [None] * 4

    asyncio.run(go())
