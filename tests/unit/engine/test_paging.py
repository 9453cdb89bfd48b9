import pytest

from ossia.engine.paging import window_blocks_needed
from ossia.model.sampling import SamplingParams

GREEDY = SamplingParams(max_tokens=4, temperature=0)


def run(engine, prompt, params=GREEDY):
    sequence = engine.submit(prompt, params)
    while engine.has_work:
        engine.step()
    return sequence


@pytest.mark.parametrize(
    ("window", "blocks"), [(1, 1), (2, 2), (16, 2), (65, 2), (66, 3), (128, 3), (129, 3), (130, 4)]
)
def test_window_blocks_needed(window, blocks):
    assert window_blocks_needed(window) == blocks
    worst = max((end // 64) - ((end - window + 1) // 64) + 1 for end in range(window - 1, window + 127))
    assert worst == blocks


def test_a_long_sequence_holds_only_its_window_in_the_sliding_layers(toy_engine, toy_reference):
    engine, _ = toy_engine(full_blocks=16, window_blocks=2, max_chunk=64, prefix_cache=False)
    sequence = engine.submit(list(range(90)) * 8, GREEDY)
    while engine.has_work:
        engine.step()
        assert engine.stats.window_blocks_in_use <= window_blocks_needed(16)
    assert sequence.output_ids == toy_reference(list(range(90)) * 8, 4)


def test_resuming_inside_a_block_copies_it_in_both_groups(toy_engine):
    engine, toy = toy_engine()
    run(engine, list(range(70)))
    assert toy.copies == []
    second = run(engine, [*range(70), 1, 2])
    assert second.cached_tokens == 70
    assert [group for group, _, _ in toy.copies] == ["full", "window"]
    assert all(src != dst for _, src, dst in toy.copies)


def test_resuming_at_a_block_boundary_copies_nothing(toy_engine, toy_reference):
    engine, toy = toy_engine()
    prompt = [*range(90), *range(38)]  # 128 tokens
    run(engine, prompt)
    second = run(engine, [*prompt, 5])
    assert second.cached_tokens == 128
    assert toy.copies == []
    assert second.output_ids == toy_reference([*prompt, 5], 4)


@pytest.mark.parametrize("end", range(100, 133))
def test_two_continuations_of_one_prompt_do_not_see_each_other(toy_engine, toy_reference, end):
    """The first goes on in place, the second and third resume beside it, while it is still writing."""
    engine, _ = toy_engine(max_batch_tokens=64)
    prompt = [i % 90 for i in range(end)]
    first = engine.submit(prompt, SamplingParams(max_tokens=40, temperature=0))
    while first.num_tokens < end + 3:
        engine.step()
    others = [engine.submit([*prompt, i], SamplingParams(max_tokens=30, temperature=0)) for i in (3, 4)]
    while engine.has_work:
        engine.step()
    assert [s.cached_tokens for s in others] == [end, end]
    assert first.output_ids == toy_reference(prompt, 40)
    assert [s.output_ids for s in others] == [toy_reference([*prompt, i], 30) for i in (3, 4)]


def test_without_room_for_the_copy_the_prefix_is_computed_again(toy_engine, toy_reference):
    engine, _ = toy_engine(full_blocks=2, window_blocks=2)
    run(engine, list(range(70)))
    second = run(engine, [*range(70), 1])
    assert second.cached_tokens == 0
    assert second.output_ids == toy_reference([*range(70), 1], 4)


def test_the_same_prompt_again_costs_one_token(toy_engine):
    engine, toy = toy_engine()
    prompt = list(range(80))
    assert run(engine, prompt).cached_tokens == 0
    assert run(engine, prompt).cached_tokens == 79
    assert toy.batches[-GREEDY.max_tokens].token_ids.tolist() == [79]


@pytest.mark.parametrize("chunk", [1, 7, 64, 512])
def test_snapshots_stand_at_prompt_end_message_ends_and_regular_distances(toy_engine, chunk):
    end = 96  # a message's last token
    prompt = [i % 90 for i in range(250)]
    prompt[29] = prompt[180] = end
    params = SamplingParams(max_tokens=6, temperature=0, boundary_ids=frozenset({end}))

    def cached(cut):
        """How much of the first `cut` tokens a probe finds cached; it leaves traces, so one per engine."""
        engine, _ = toy_engine(max_chunk=chunk, snapshot_every=100)
        conversation = [*prompt, *run(engine, prompt, params).output_ids]
        return run(engine, [*conversation[:cut], 95]).cached_tokens

    cuts = {20: 0, 30: 30, 60: 30, 150: 100, 190: 181, 230: 200, 249: 249, 250: 250}
    assert {cut: cached(cut) for cut in cuts} == cuts
    # The last token of an answer was never fed back, so the answer is resumable before it.
    assert cached(256) == 255


def test_prefix_cache_off_keeps_nothing(toy_engine):
    engine, _ = toy_engine(prefix_cache=False)
    run(engine, list(range(80)))
    assert run(engine, list(range(81))).cached_tokens == 0
    stats = engine.stats
    assert (stats.snapshots, stats.full_blocks_free, stats.window_blocks_free) == (0, 64, 64)
