"""Several answers to one prompt, side by side: their events as they come, each with its answer's number."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ossia.agent.events import Event

_AHEAD = 64  # events read before anybody has taken them
_AT_ONCE = 8  # as many as an engine batches; the rest follow

_Item = tuple[int, Event] | BaseException | None


async def side_by_side(
    answers: Sequence[AsyncGenerator[Event, None]],
) -> AsyncGenerator[tuple[int, Event], None]:
    """The events of all `answers`, in the order they come about; eight of them are under way at a time.
    Raises what one of them raises; then, and where the reader leaves, the others are cancelled too."""
    if len(answers) == 1:  # the usual case, without a queue between
        async with aclosing(answers[0]) as only:
            async for event in only:
                yield 0, event
        return
    queue: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD)
    turns = asyncio.Semaphore(_AT_ONCE)
    tasks = [asyncio.ensure_future(_read(at, answer, queue, turns)) for at, answer in enumerate(answers)]
    left = len(tasks)
    try:
        while left:
            item = await queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is None:
                left -= 1
                continue
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _read(
    index: int,
    answer: AsyncGenerator[Event, None],
    queue: "asyncio.Queue[_Item]",
    turns: asyncio.Semaphore,
) -> None:
    async with turns, aclosing(answer):
        try:
            async for event in answer:
                await queue.put((index, event))
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)
