import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.engine.scheduler import shares
from ossia.model.sampling import SamplingParams

GREEDY = SamplingParams(max_tokens=4, temperature=0)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=16), st.integers(16, 600), st.integers(1, 600))
def test_shares_serve_everyone_and_stay_in_the_budget(pending, budget, cap):
    dealt = shares(pending, budget, cap)
    assert sum(dealt) <= budget
    assert all(1 <= n <= min(want, cap) for n, want in zip(dealt, pending, strict=True))
    unmet = [n for n, want in zip(dealt, pending, strict=True) if n < min(want, cap)]
    assert not unmet or sum(dealt) == budget  # nothing is left over while somebody could use it
    assert not unmet or max(dealt) - min(unmet) <= 1  # and nobody who wants more has less than another


@pytest.mark.parametrize(
    ("pending", "budget", "cap", "expected"),
    [
        ([1, 1, 2000], 512, 512, [1, 1, 510]),  # decode first, the rest is prefill's
        ([2000, 30, 2000], 512, 512, [241, 30, 241]),  # a short prompt does not wait for long ones
        ([2000], 512, 64, [64]),
        ([], 512, 64, []),
    ],
)
def test_shares(pending, budget, cap, expected):
    assert shares(pending, budget, cap) == expected


def test_running_sequences_decode_while_a_long_prompt_is_prefilled(toy_engine):
    engine, toy = toy_engine(max_batch_tokens=32, max_sequences=2)
    first = engine.submit([1, 2, 3], SamplingParams(max_tokens=50, temperature=0))
    engine.step()
    engine.submit(list(range(90)), GREEDY)
    counts = []
    while first.num_tokens < 6:
        before = first.num_tokens
        engine.step()
        counts.append(toy.batches[-1].token_ids.size)
        assert first.num_tokens == before + 1
    assert counts == [32, 32]  # 1 for the one that decodes, 31 for the prompt


def test_waiting_sequences_enter_in_the_order_they_came(toy_engine):
    engine, _ = toy_engine(max_sequences=2, max_batch_tokens=64)
    sequences = [engine.submit([i, i + 1], GREEDY) for i in range(6)]
    finished = []
    while engine.has_work:
        finished += [out.sequence for out in engine.step() if out.token.finish]
    assert [s.arrival for s in finished] == [s.arrival for s in sequences]


def test_the_youngest_gives_way_and_the_oldest_is_never_preempted(toy_engine, toy_reference):
    # Three sequences that grow to 3 blocks each, in a pool of 5.
    engine, _ = toy_engine(full_blocks=5, prefix_cache=False)
    params = SamplingParams(max_tokens=150, temperature=0)
    sequences = [engine.submit([i] * 10, params) for i in range(3)]
    order = []
    while engine.has_work:
        order += [out.sequence for out in engine.step() if out.token.finish]
    assert order[0] is sequences[0]
    assert sequences[0].preemptions == 0
    assert engine.stats.preemptions == sum(s.preemptions for s in sequences) > 0
    for i, sequence in enumerate(sequences):
        assert sequence.output_ids == toy_reference([i] * 10, 150)


def test_a_preempted_sequence_waits_until_somebody_leaves(toy_engine):
    engine, _ = toy_engine(full_blocks=5, prefix_cache=False)
    params = SamplingParams(max_tokens=200, temperature=0)
    for i in range(2):
        engine.submit([i] * 10, params)
    while engine.has_work:
        engine.step()
    assert engine.stats.preemptions == 1  # sent back once, not at every block


def test_cached_prefixes_give_way_before_a_sequence_does(toy_engine):
    engine, _ = toy_engine(full_blocks=6)
    for i in range(5):
        engine.submit([i] * 150, GREEDY)
        while engine.has_work:
            engine.step()
    stats = engine.stats
    assert stats.evictions > 0
    assert stats.preemptions == 0


def test_nobody_enters_only_to_be_sent_back(toy_engine):
    engine, _ = toy_engine(full_blocks=5, prefix_cache=False)
    first = engine.submit([1] * 70, SamplingParams(max_tokens=80, temperature=0))  # 2 blocks, soon 3
    engine.step()
    second = engine.submit([2] * 190, GREEDY)  # 3 blocks, and the next token may need a fourth
    engine.step()
    assert (first.status, second.status) == ("running", "waiting")
    while engine.has_work:
        engine.step()
    assert engine.stats.preemptions == 0


def test_who_waits_for_room_enters_when_somebody_leaves_though_others_run_on(toy_engine):
    engine, _ = toy_engine(full_blocks=8, prefix_cache=False)
    longest = engine.submit([1], SamplingParams(max_tokens=60, temperature=0))
    engine.submit([2] * 200, GREEDY)
    engine.step()
    third = engine.submit([3] * 190, GREEDY)
    engine.step()
    assert third.status == "waiting"
    while third.status != "finished":
        engine.step()
    assert longest.status == "running"


def test_who_waits_for_room_is_not_resumed_at_every_step(toy_engine):
    engine, toy = toy_engine(full_blocks=9)
    engine.submit([1] * 200, GREEDY)
    while engine.has_work:
        engine.step()
    engine.submit([2] * 200, SamplingParams(max_tokens=40, temperature=0))
    engine.step()
    engine.submit([*[1] * 200, *[4] * 100], GREEDY)
    for _ in range(30):
        engine.step()
    assert engine.stats.waiting == 1
    assert len(toy.copies) == 2  # one block in each group, once


def test_the_preempted_are_first_in_the_queue(toy_engine):
    engine, _ = toy_engine(full_blocks=5, max_sequences=2, prefix_cache=False)
    params = SamplingParams(max_tokens=180, temperature=0)
    oldest, preempted, newcomer = (engine.submit([i] * 10, params) for i in range(3))
    while not preempted.preemptions:
        engine.step()
    while oldest.status != "finished":
        engine.step()
    engine.step()
    assert (preempted.status, newcomer.status) == ("running", "running")
    assert preempted.num_computed > newcomer.num_computed
    outputs = engine.step()
    assert [out.sequence for out in outputs] == [preempted, newcomer]


def test_requests_with_a_common_beginning_compute_it_once(toy_engine, toy_reference):
    engine, _ = toy_engine(max_batch_tokens=64)
    prompt = [i % 90 for i in range(300)]
    sequences = [engine.submit(prompt, GREEDY) for _ in range(6)]
    other = engine.submit([5] * 80, GREEDY)
    engine.step()
    assert [s.status for s in (*sequences[:2], other)] == ["running", "waiting", "running"]
    while engine.has_work:
        engine.step()
    assert [s.cached_tokens for s in sequences] == [0, *[299] * 5]
    assert engine.stats.computed_tokens == 300 + 80 + 5 + 7 * 3
    assert {tuple(s.output_ids) for s in sequences} == {tuple(toy_reference(prompt, 4))}


def test_a_beginning_that_will_not_be_kept_is_not_waited_for(toy_engine):
    engine, _ = toy_engine(max_batch_tokens=64)
    engine.submit([i % 90 for i in range(300)], GREEDY)
    diverging = engine.submit([*[i % 90 for i in range(250)], 95, 95], GREEDY)
    engine.step()
    assert diverging.status == "running"
    kept, _ = toy_engine(max_batch_tokens=64, snapshot_every=200)
    kept.submit([i % 90 for i in range(300)], GREEDY)
    diverging = kept.submit([*[i % 90 for i in range(250)], 95, 95], GREEDY)
    kept.step()
    assert diverging.status == "waiting"
    while kept.has_work:
        kept.step()
    assert diverging.cached_tokens == 200


def test_without_a_prefix_cache_nobody_waits_for_a_common_beginning(toy_engine):
    engine, _ = toy_engine(max_batch_tokens=64, prefix_cache=False)
    sequences = [engine.submit(list(range(90)), GREEDY) for _ in range(2)]
    engine.step()
    assert [s.status for s in sequences] == ["running", "running"]
