import numpy as np

from ossia.engine.batching import make_batch
from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import new_sequence
from ossia.model.sampling import SamplingParams


def sequence(ids, computed, full, window, capacity=256):
    ids = np.array(ids, np.int32)
    made = new_sequence(ids, SamplingParams(), capacity=capacity, seed=0, arrival=0, block=64)
    made.num_computed, made.num_blocks = computed, len(full)
    made.full_table[: len(full)], made.window_table[: len(full)] = full, window
    return made


def test_a_decoding_and_a_prefilling_sequence_in_one_batch():
    decoding = sequence(range(130), 129, [7, 3, 9], [-1, 4, 5])
    prefilling = sequence(range(500, 700), 62, [1, 2], [0, 6])
    batch = make_batch([Chunk(decoding, 129, 1), Chunk(prefilling, 62, 4)])
    assert batch.token_ids.tolist() == [129, 562, 563, 564, 565]
    assert batch.positions.tolist() == [129, 62, 63, 64, 65]
    assert batch.rows.tolist() == [0, 1, 1, 1, 1]
    assert batch.full_slots.tolist() == [9 * 64 + 1, 64 + 62, 64 + 63, 128, 129]
    assert batch.window_slots.tolist() == [5 * 64 + 1, 62, 63, 6 * 64, 6 * 64 + 1]
    assert batch.full_table.tolist() == [[7, 3, 9], [1, 2, -1]]
    assert batch.window_table.tolist() == [[-1, 4, 5], [0, 6, -1]]
    assert batch.logit_rows.tolist() == [0]  # the prompt is not through yet


def test_all_arrays_are_int32_and_tables_may_differ_in_size():
    short = sequence([1, 2], 0, [5], [6], capacity=3)
    long = sequence(range(100), 99, [0, 1], [2, 3])
    batch = make_batch([Chunk(short, 0, 2), Chunk(long, 99, 1)])
    arrays = [getattr(batch, name) for name in batch.__dataclass_fields__]
    assert {array.dtype for array in arrays} == {np.dtype(np.int32)}
    assert batch.full_table.tolist() == [[5, -1], [0, 1]]
    assert batch.logit_rows.tolist() == [1, 2]
