import numpy as np
import pytest

from ossia.engine.block_pool import BlockPool
from ossia.engine.prefix_cache import PrefixCache, first_visible
from ossia.engine.sequence import new_sequence
from ossia.model.sampling import SamplingParams

WINDOW = 16


class Room:
    """Two pools, a cache over them, and sequences whose tokens are all computed."""

    def __init__(self, blocks=32):
        self.full, self.window = BlockPool(blocks), BlockPool(blocks)
        self.cache = PrefixCache(self.full, self.window, WINDOW)

    def computed(self, ids):
        params = SamplingParams()
        sequence = new_sequence(
            np.array(ids, np.int32), params, capacity=len(ids) + 1, seed=0, arrival=0, block=64
        )
        sequence.num_computed = len(ids)
        for i in range(-(-len(ids) // 64)):
            sequence.full_table[i], sequence.window_table[i] = self.full.allocate(), self.window.allocate()
            sequence.num_blocks += 1
        return sequence

    def give_back(self, sequence):
        for i in range(sequence.num_blocks):
            self.full.release(int(sequence.full_table[i]))
            self.window.release(int(sequence.window_table[i]))

    def position(self, ids):
        snapshot = self.cache.find(np.array(ids, np.int32))
        return snapshot and snapshot.position


def test_finds_the_longest_prefix_to_the_exact_token():
    room = Room()
    ids = list(range(200))
    sequence = room.computed(ids)
    for position in (10, 64, 70, 128, 199):
        room.cache.keep(sequence, position)
    assert room.position([*ids, 7]) == 199
    assert room.position([*ids[:150], 999]) == 128
    assert room.position([*ids[:70], 999]) == 70
    assert room.position([*ids[:69], 999, 999]) == 64
    assert room.position([*ids[:63], 999, 999]) == 10
    assert room.position([999, *ids]) is None


@pytest.mark.parametrize("position", [1, 63, 64, 65, 128])
def test_a_hit_leaves_a_token_to_compute(position):
    room = Room()
    ids = list(range(position))
    room.cache.keep(room.computed(ids), position)
    assert room.position(ids) is None
    assert room.position([*ids, 5]) == position


def test_conversations_share_the_blocks_of_their_common_beginning():
    room = Room()
    first = room.computed([*range(130), 500])
    room.cache.keep(first, 131)
    second = room.computed([*range(130), 600])
    assert room.full.free == 32 - 6
    room.cache.keep(second, 131)
    assert second.full_table[:2].tolist() == first.full_table[:2].tolist()
    assert second.full_table[2] != first.full_table[2]
    assert room.full.free == 32 - 4  # its own two copies were given back


def test_keeps_the_blocks_of_the_window_and_no_others():
    room = Room()
    sequence = room.computed(range(150))
    room.cache.keep(sequence, 150)
    room.give_back(sequence)
    assert room.window.free == 32 - 1  # tokens 135…149 lie in block 2
    assert room.full.free == 32 - 3
    room.cache.keep(second := room.computed(range(200, 340)), 140)
    room.give_back(second)
    assert room.window.free == 32 - 1 - 2  # tokens 125…139 lie in blocks 1 and 2


def test_evicts_the_least_recently_used_and_gives_back_everything():
    room = Room()
    for start in (0, 1000, 2000):
        room.cache.keep(sequence := room.computed(range(start, start + 100)), 100)
        room.give_back(sequence)
    assert room.position(range(101)) == 100  # used again
    assert room.cache.evict()
    assert room.position(range(1000, 1101)) is None
    assert room.position(range(101)) == 100
    assert room.cache.evict()
    assert room.position(range(2000, 2101)) is None
    assert room.cache.evict()
    assert not room.cache.evict()
    assert len(room.cache) == 0
    assert room.cache.evictions == 3
    assert room.full.free == room.window.free == 32


def test_an_inner_snapshot_goes_without_the_outer_one_losing_blocks():
    room = Room()
    sequence = room.computed(range(200))
    room.cache.keep(sequence, 64)
    room.cache.keep(sequence, 200)
    room.give_back(sequence)
    assert room.cache.evict()
    assert room.position(range(100)) is None
    assert room.position(range(201)) == 200
    assert room.full.free == 32 - 4


def test_keeping_the_same_prefix_again_only_refreshes_it():
    room = Room()
    sequence = room.computed(range(100))
    room.cache.keep(sequence, 90)
    room.cache.keep(sequence, 100)
    references = [room.full.references(b) for b in range(32)]
    room.cache.keep(sequence, 90)
    assert [room.full.references(b) for b in range(32)] == references
    room.cache.evict()
    assert room.position(range(95)) == 90


def test_a_snapshot_needs_its_window():
    room = Room()
    sequence = room.computed(range(200))
    sequence.window_start = 2
    with pytest.raises(AssertionError, match="was let go"):
        room.cache.keep(sequence, 130)
    sequence.num_computed = 150
    with pytest.raises(AssertionError, match="not computed"):
        room.cache.keep(sequence, 151)


def test_first_visible():
    assert [first_visible(p, 4) for p in (0, 3, 4, 10)] == [0, 0, 1, 7]
