"""A toy model for the engine's tests, whose tokens depend on everything paging could get wrong.

What it stores for a token is a hash of what the block tables show of the tokens before it (all of them in
the "full" group, the window in the other), and its logits hash the same again. A wrong block, a stale
slot or a window let go too early therefore changes tokens. `reference` computes the same without blocks.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ossia.engine import Engine, EngineOptions, PoolPlan
from ossia.engine.engine import LogitsObserver
from ossia.model.batch import Batch
from ossia.model.kv_cache import BLOCK
from ossia.model.sampling import Ask

VOCAB = 97


def _hash(*parts: NDArray[np.int64]) -> int:
    value = 0
    for part in parts:
        value = zlib.crc32(part.tobytes(), value + 1)
    return value


def _logits(full: NDArray[np.int64], window: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.random.default_rng(_hash(full, window)).standard_normal(VOCAB).astype(np.float32)


class Toy:
    """Model and block store in one. `delay`: called before every forward, for tests of threads."""

    def __init__(self, full_blocks: int, window_blocks: int, sliding_window: int) -> None:
        junk = np.random.default_rng(0)
        self.stores = {
            "full": junk.integers(1 << 40, 1 << 41, full_blocks * BLOCK),
            "window": junk.integers(1 << 40, 1 << 41, window_blocks * BLOCK),
        }
        self.sliding_window = sliding_window
        self.batches: list[Batch] = []
        self.copies: list[tuple[str, int, int]] = []
        self.before_forward: Callable[[], None] = lambda: None

    def copy_block(self, group: str, src: int, dst: int) -> None:
        self.copies.append((group, src, dst))
        store = self.stores[group].reshape(-1, BLOCK)
        store[dst] = store[src]

    def sample(self, batch: Batch, asks: Sequence[Ask | None]) -> list[NDArray[np.float32]]:
        """Logits whatever is asked."""
        assert len(asks) == batch.logit_rows.size
        return list(self.forward(batch))

    def forward(self, batch: Batch) -> NDArray[np.float32]:
        self.before_forward()
        self.batches.append(batch)
        rows = []
        for i in range(batch.token_ids.size):
            position, row = int(batch.positions[i]), int(batch.rows[i])
            seen = self._seen("full", batch.full_table[row], 0, position)
            shown = self._seen(
                "window", batch.window_table[row], max(0, position - self.sliding_window + 1), position
            )
            token = np.array([batch.token_ids[i], position], np.int64)
            self.stores["full"][batch.full_slots[i]] = _hash(seen[-1:], token)
            self.stores["window"][batch.window_slots[i]] = _hash(shown, token)
            if i in batch.logit_rows:
                rows.append(
                    _logits(np.append(seen, _hash(seen[-1:], token)), np.append(shown, _hash(shown, token)))
                )
        return np.array(rows, np.float32).reshape(-1, VOCAB)

    def _seen(self, group: str, table: NDArray[np.int32], first: int, end: int) -> NDArray[np.int64]:
        at = np.arange(first, end)
        blocks = table[at // BLOCK]
        assert (blocks >= 0).all(), f"{group}: a block that is still visible was let go"
        return self.stores[group][blocks * BLOCK + at % BLOCK]


def reference_logits(ids: Sequence[int], sliding_window: int) -> NDArray[np.float32]:
    """Logits after `ids`, from contiguous memory."""
    full, window = np.empty(0, np.int64), np.empty(0, np.int64)
    for position, i in enumerate(ids):
        token = np.array([i, position], np.int64)
        shown = window[max(0, position - sliding_window + 1) :]
        full, window = np.append(full, _hash(full[-1:], token)), np.append(window, _hash(shown, token))
    return _logits(full, window[max(0, len(ids) - sliding_window) :])


def reference(prompt: Sequence[int], count: int, sliding_window: int = 16) -> list[int]:
    """The `count` tokens that greedy decoding answers to `prompt`."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(reference_logits(ids, sliding_window).argmax()))
    return ids[len(prompt) :]


@pytest.fixture
def toy_reference() -> Callable[..., list[int]]:
    return reference


@pytest.fixture
def toy_engine() -> Callable[..., tuple[Engine, Toy]]:
    """Engine on a Toy: toy_engine(full_blocks=, window_blocks=, sliding_window=, context=, **options).

    Without speculation unless it is asked for: how far that goes depends on measured time.
    """

    def make(
        full_blocks: int = 64,
        window_blocks: int | None = None,
        sliding_window: int = 16,
        context: int = 2048,
        observer: LogitsObserver | None = None,
        **options: int | bool | None,
    ) -> tuple[Engine, Toy]:
        window_blocks = window_blocks or full_blocks
        toy = Toy(full_blocks, window_blocks, sliding_window)
        engine = Engine(
            toy,
            toy,
            PoolPlan(full_blocks, window_blocks, 0, min(context, full_blocks * BLOCK)),
            vocab_size=VOCAB,
            sliding_window=sliding_window,
            model_context=context,
            options=EngineOptions(**{"speculation": False} | options),  # pyright: ignore[reportArgumentType]
            observer=observer,
        )
        return engine, toy

    return make
