import pytest

from ossia.engine import EngineOptions, plan_pools
from ossia.errors import ContextLengthError, InputError, MemoryLimitError

GIB = 1 << 30
MIB = 1 << 20
# gpt-oss-20b in bf16: 12 layers of either kind, 2 KiB a token and layer.
SHAPE_20B = {
    "full_bytes": 64 * 24 * 1024,
    "window_bytes": 64 * 24 * 1024,
    "sliding_window": 128,
    "model_context": 131_072,
}


def plan(available, **options):
    return plan_pools(EngineOptions(**options), **SHAPE_20B, available_bytes=available)


def test_with_plenty_of_memory_the_whole_context_fits_once_and_others_beside_it():
    big = plan(64 * GIB)
    assert big.context_length == 131_072
    assert big.full_blocks == 2048 + 7 * 128
    assert big.size_bytes < 5 * GIB


def test_takes_no_more_than_its_share_of_what_is_available():
    small = plan(2 * GIB)
    assert small.size_bytes <= GIB
    assert 8192 < small.context_length < 131_072


def test_leaves_room_for_mapped_weights():
    shape = SHAPE_20B | {"available_bytes": 14 * GIB}
    beside_weights = plan_pools(EngineOptions(), **shape, mapped_bytes=12 * GIB)
    assert beside_weights.size_bytes <= GIB
    tight = plan_pools(EngineOptions(), **shape, mapped_bytes=20 * GIB)
    assert 0 < tight.size_bytes <= GIB
    assert tight.context_length > 8192
    asked = plan_pools(EngineOptions(max_context=131_072), **shape, mapped_bytes=12 * GIB)
    assert asked.context_length == 131_072  # asked for by name: the weights give way


def test_kv_bytes_are_used_and_not_exceeded():
    exact = plan(16 * GIB, kv_bytes=GIB)
    assert 0.99 * GIB < exact.size_bytes <= GIB


def test_more_kv_bytes_than_are_available_are_refused_with_both_numbers():
    with pytest.raises(MemoryLimitError, match=r"8\.00 GiB, and 4\.00 GiB") as caught:
        plan(4 * GIB, kv_bytes=8 * GIB)
    assert (caught.value.value, caught.value.limit) == (8 * GIB, 4 * GIB)


def test_a_context_memory_cannot_hold_is_refused_with_both_numbers():
    with pytest.raises(MemoryLimitError, match=r"131,072 tokens needs 3\.0\d GiB, and 1\.00 GiB") as caught:
        plan(GIB, max_context=131_072)
    assert caught.value.value > caught.value.limit == GIB
    with pytest.raises(MemoryLimitError):
        plan(16 * GIB, max_context=131_072, kv_bytes=GIB)


def test_a_context_asked_for_may_take_more_than_the_usual_share():
    tight = plan(int(3.1 * GIB), max_context=131_072)
    assert (tight.full_blocks, tight.context_length) == (2048, 131_072)
    assert 3 <= tight.window_blocks < 100
    assert tight.size_bytes <= 3.1 * GIB


def test_over_the_models_limit_is_refused_with_both_numbers():
    with pytest.raises(ContextLengthError) as caught:
        plan(64 * GIB, max_context=200_000)
    assert (caught.value.value, caught.value.limit) == (200_000, 131_072)


def test_next_to_no_memory_is_an_error_not_an_empty_pool():
    with pytest.raises(MemoryLimitError):
        plan(2 * MIB)


def test_a_window_as_long_as_the_context_needs_no_more_window_blocks_than_full_ones():
    pocket = plan_pools(
        EngineOptions(),
        full_bytes=720 * 1024,
        window_bytes=720 * 1024,
        sliding_window=8192,
        model_context=8192,
        available_bytes=8 * GIB,
    )
    assert pocket.window_blocks == pocket.full_blocks
    assert pocket.context_length == 8192


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch_tokens": 0},
        {"max_sequences": 0},
        {"max_chunk": 0},
        {"snapshot_every": 0},
        {"max_context": 0},
        {"max_batch_tokens": 4, "max_sequences": 8},
    ],
)
def test_impossible_options_are_refused(options):
    with pytest.raises(InputError) as caught:
        EngineOptions(**options)
    assert caught.value.limit is not None


def test_where_memory_is_short_every_sequence_gets_a_window_first():
    short = plan(GIB, kv_bytes=100 * MIB)
    assert short.window_blocks == 8 * 3
    assert short.size_bytes <= 100 * MIB
    tiny = plan(GIB, kv_bytes=20 * MIB)
    assert (tiny.full_blocks, tiny.window_blocks) == (7, 6)


@pytest.mark.parametrize(("full_bytes", "window_bytes"), [(0, 1 << 20), (1 << 20, 0)])
def test_a_model_with_one_kind_of_layers_only(full_bytes, window_bytes):
    shape = SHAPE_20B | {"full_bytes": full_bytes, "window_bytes": window_bytes}
    made = plan_pools(EngineOptions(), **shape, available_bytes=64 * GIB)
    assert made.context_length == 131_072
    assert made.window_blocks >= 8 * 3
