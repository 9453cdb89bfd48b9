"""Several answers side by side: none is lost, none is left running."""

import asyncio

import pytest

from ossia.agent.events import TextDelta
from ossia.server.chat.answers import side_by_side


class Answers:
    def __init__(self) -> None:
        self.open = self.most = 0

    async def one(self, name: str, pieces: int, fails: bool = False):
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            for at in range(pieces):
                await asyncio.sleep(0)
                yield TextDelta(f"{name}{at}")
            if fails:
                raise ValueError(name)
        finally:
            self.open -= 1


def test_every_event_comes_once_in_its_answers_order():
    async def collect():
        answers = Answers()
        return [item async for item in side_by_side([answers.one("a", 100), answers.one("b", 3)])]

    found = asyncio.run(collect())
    for index, (name, pieces) in enumerate((("a", 100), ("b", 3))):
        assert [e.text for i, e in found if i == index] == [f"{name}{at}" for at in range(pieces)]


def test_of_many_answers_eight_are_under_way_at_a_time():
    async def collect():
        answers = Answers()
        found = [item async for item in side_by_side([answers.one(str(at), 20) for at in range(30)])]
        return len(found), answers.most, answers.open

    assert asyncio.run(collect()) == (600, 8, 0)


@pytest.mark.parametrize("count", [1, 3])
def test_who_leaves_early_leaves_nothing_running(count):
    async def leave() -> int:
        answers = Answers()
        events = side_by_side([answers.one(str(at), 1000) for at in range(count)])
        await anext(events)
        assert answers.open == count
        await events.aclose()
        return answers.open

    assert asyncio.run(leave()) == 0


def test_a_failure_of_one_ends_them_all():
    async def fail() -> int:
        answers = Answers()
        with pytest.raises(ValueError, match="bad"):
            async for _ in side_by_side([answers.one("good", 1000), answers.one("bad", 2, fails=True)]):
                pass
        return answers.open

    assert asyncio.run(fail()) == 0
