"""32 streams at once through the backend's thread and asyncio, in a KV pool that is too small for them.

They arrive at random, share beginnings, draft, are cancelled and preempted; each must be given what it gets
alone, and afterwards nothing may be left: no block, sequence, stream, task, or memory that grows.
"""

import asyncio
import gc
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from ossia.backends import NativeBackend
from ossia.engine import Sequence
from ossia.model.sampling import SamplingParams

STREAMS = 32
VOCAB = 160
DISTINCT = 120
PATIENCE_S = 60
FEW = {"logit_bias": dict.fromkeys(range(4), 30.0)}  # so few ids that what they say was said before
KINDS = (
    {"temperature": 0},
    {"temperature": 1.0},
    {"temperature": 0, **FEW},
    {"temperature": 1.0, **FEW},
    {"temperature": 0.8, "top_p": 0.9, "presence_penalty": 0.5},
    {"temperature": 1.0, "stop_ids": frozenset(range(20)), "boundary_ids": frozenset({30})},
)


@dataclass(frozen=True)
class Request:
    prompt: tuple[int, ...]
    params: SamplingParams


def distinct_requests(rng):
    stems = [rng.integers(0, VOCAB, 150).tolist() for _ in range(5)]
    for i in range(DISTINCT):
        stem = stems[rng.integers(5)][: rng.integers(150)]
        prompt = (*stem, *rng.integers(0, VOCAB, 2).tolist())
        limit = int(rng.integers(1, 40))
        yield Request(prompt, SamplingParams(max_tokens=limit, seed=i, **KINDS[i % len(KINDS)]))


def alone(engine, request):
    """What the request is answered when nothing else runs."""
    sequence = engine.submit(request.prompt, request.params)
    while engine.has_work:
        engine.step()
    return sequence.output_ids


class Traffic:
    """`total` requests, at most STREAMS of them at a time, and what came of them."""

    def __init__(self, backend, requests, expected, total, rng):
        self.backend, self.requests, self.expected, self.rng = backend, requests, expected, rng
        self.left = total
        self.finished = self.cancelled = 0
        self.rss = []

    async def run(self):
        await asyncio.gather(*(self.stream() for _ in range(STREAMS)))
        assert len(asyncio.all_tasks()) == 1

    async def stream(self):
        while self.left > 0:
            self.left -= 1
            if self.left % 500 == 0:
                self.rss.append(psutil.Process().memory_info().rss)
            for _ in range(self.rng.integers(4)):
                await asyncio.sleep(0)
            await self.ask(int(self.rng.integers(len(self.requests))))

    async def ask(self, which):
        request, ids = self.requests[which], []
        leaves_after = int(self.rng.integers(20)) if self.rng.random() < 0.1 else None
        if leaves_after == 0:  # before its first token, as a task that is cancelled
            task = asyncio.create_task(anext(self.backend.generate(request.prompt, request.params)))
            await asyncio.sleep(0.001)
            self.cancelled += task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return
        async with aclosing(self.backend.generate(request.prompt, request.params)) as tokens:
            async for token in tokens:
                ids.append(token.id)
                if len(ids) == leaves_after:
                    break
        assert ids == self.expected[which][: len(ids)]
        whole = len(ids) == len(self.expected[which])
        self.finished += whole
        self.cancelled += not whole
        assert whole or len(ids) == leaves_after


async def until_idle(backend):
    async with asyncio.timeout(PATIENCE_S):
        while backend.stats.running + backend.stats.waiting:
            await asyncio.sleep(0.001)


def soak(engine_of, draft_freely, total, kv_bytes, **options):
    """Run the traffic and look for what was left; returns it and the engine's last counters."""
    rng = np.random.default_rng(total)
    requests = list(distinct_requests(rng))
    lonely = engine_of("q8", prefix_cache=False, speculation=False, max_sequences=1, **options)
    expected = [alone(lonely, request) for request in requests]
    engine = engine_of(
        "q8", kv_bytes=kv_bytes, max_batch_tokens=128, max_sequences=STREAMS, snapshot_every=50, **options
    )
    draft_freely(engine)
    backend = NativeBackend(engine)
    traffic = Traffic(backend, requests, expected, total, rng)

    async def main():
        await traffic.run()
        await until_idle(backend)

    try:
        asyncio.run(main())
    finally:
        backend.shutdown()
    stats = engine.stats
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use) == (0, 0)
    while engine._paging.cache.evict():
        pass
    assert (engine.stats.full_blocks_free, engine.stats.window_blocks_free) == (
        stats.full_blocks,
        stats.window_blocks,
    )
    assert (backend._streams, backend._arriving, backend._leaving) == ({}, [], [])
    assert min(stats.evictions, stats.cached_tokens, stats.accepted_tokens) > 0
    assert min(traffic.finished, traffic.cancelled) > 0
    del lonely
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Sequence)]
    return traffic, stats


KV = pytest.mark.parametrize(("kv_cache", "kv_bytes"), [(None, 500_000), ("int8", 300_000)])


@KV
def test_32_streams_are_what_each_gets_alone_and_nothing_is_left(engine_of, draft_freely, kv_cache, kv_bytes):
    soak(engine_of, draft_freely, 150, kv_bytes, kv_cache=kv_cache)


@KV
@pytest.mark.slow
def test_memory_does_not_grow_over_10000_requests(engine_of, draft_freely, kv_cache, kv_bytes):
    traffic, stats = soak(engine_of, draft_freely, 10_000, kv_bytes, kv_cache=kv_cache)
    rss = np.array(traffic.rss[4:], float)  # from the 2,000th request on
    slope = np.polyfit(np.arange(rss.size) * 500, rss, 1)[0]
    print(
        f"{traffic.finished} finished, {traffic.cancelled} left early; {stats}; {slope:.0f} bytes a request"
    )
    assert stats.preemptions > 0
    assert slope < 200, f"{slope:.0f} bytes more with every request"
