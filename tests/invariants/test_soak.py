"""Random traffic on the real forward pass, in memory that is too small for it.

Requests arrive, share beginnings, are cancelled and preempted; every stream must be what it is alone, and
nothing may stay behind.
"""

import numpy as np
import pytest

from ossia.model.sampling import SamplingParams

END = 3


@pytest.mark.parametrize("seed", range(3))
def test_streams_are_what_each_gets_alone(engine_of, seed):
    rng = np.random.default_rng(seed)
    engine = engine_of(
        "q8", kv_bytes=400_000, max_batch_tokens=96, max_chunk=(7, 64, 96)[seed], snapshot_every=50
    )
    stems = [rng.integers(0, 160, 200).tolist() for _ in range(3)]
    live, done = [], []
    for _ in range(600):
        if len(live) < 10 and rng.random() < 0.25:
            prompt = stems[rng.integers(3)][: rng.integers(1, 200)] + rng.integers(0, 160, 3).tolist()
            params = SamplingParams(
                max_tokens=int(rng.integers(1, 150)),
                seed=int(rng.integers(99)),
                boundary_ids=frozenset({END}),
            )
            live.append(engine.submit(prompt, params))
        if live and rng.random() < 0.01:
            engine.cancel(live.pop(int(rng.integers(len(live)))))
        if live and rng.random() < 0.02:
            engine.preempt(live[rng.integers(len(live))])
        for out in engine.step():
            if out.token.finish:
                live.remove(out.sequence)
                done.append(out.sequence)
    for sequence in live:
        engine.cancel(sequence)
    stats = engine.stats
    assert min(stats.preemptions, stats.evictions, stats.cached_tokens) > 0
    assert len(done) > 10
    assert (stats.full_blocks_in_use, stats.window_blocks_in_use, stats.running) == (0, 0, 0)

    alone = engine_of("q8", prefix_cache=False, max_sequences=1)
    for sequence in done:
        expected = alone.submit(sequence.prompt_ids, sequence.params)
        expected.seed = sequence.seed
        while alone.has_work:
            alone.step()
        assert sequence.output_ids == expected.output_ids
