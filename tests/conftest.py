"""What every test shares: the promise that only the oracle needs torch."""

import sys
from importlib.abc import MetaPathFinder

import pytest


class NoTorch(MetaPathFinder):
    """Refuses torch, so that `make test` shows it is not needed even where it is installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] in ("torch", "transformers", "peft"):
            raise ModuleNotFoundError(
                f"No module named {fullname!r} (these tests run without it)", name=fullname
            )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-torch", action="store_true", help="refuse to import torch")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--without-torch"):
        sys.meta_path.insert(0, NoTorch())


@pytest.fixture
def guessing():
    """guessing(engine, answer_of, right, seed): drafts of random lengths from now on, whose tokens are those
    of `answer_of(sequence)` with probability `right`, and else wrong."""
    import numpy as np

    from ossia.engine.scheduler import Chunk
    from ossia.engine.speculation import LONGEST_DRAFT, Speculation

    class Guesses(Speculation):
        def __init__(self, engine, answer_of, right, rng):
            super().__init__(engine.vocab_size, engine._scheduler._max_batch_tokens)
            self.answer_of, self.right, self.rng = answer_of, right, rng

        def extend(self, chunks, budget, paging):
            out = []
            for chunk in chunks:
                draft = self.guess(chunk, budget, paging) if chunk.completes else ()
                budget -= len(draft)
                out.append(Chunk(chunk.sequence, chunk.start, chunk.count, draft))
            return out

        def guess(self, chunk, budget, paging):
            sequence, rng = chunk.sequence, self.rng
            room = min(LONGEST_DRAFT, budget, sequence.capacity - sequence.num_tokens - 1)
            count = paging.room_behind(sequence, chunk.count, int(rng.integers(room + 1)))
            behind = self.answer_of(sequence)[sequence.num_tokens - sequence.num_prompt :]
            ids = [*behind, *rng.integers(0, 97, count).tolist()][:count]
            return tuple(i if rng.random() < self.right else (i + 1) % 97 for i in ids)

    def install(engine, answer_of, right=0.7, seed=0):
        engine._speculation = Guesses(engine, answer_of, right, np.random.default_rng(seed))

    return install
