import pytest

from ossia.engine.block_pool import BlockPool


def test_allocates_every_block_once_then_none():
    pool = BlockPool(3)
    assert sorted(pool.allocate() for _ in range(3)) == [0, 1, 2]
    assert pool.allocate() is None
    assert (pool.free, pool.available, pool.in_use) == (0, 0, 3)


def test_a_block_is_free_again_only_after_its_last_reference():
    pool = BlockPool(1)
    block = pool.allocate()
    pool.share(block)
    pool.release(block)
    assert pool.allocate() is None
    pool.release(block)
    assert pool.allocate() == block


def test_what_only_the_cache_holds_is_available_but_not_free():
    pool = BlockPool(2)
    block = pool.allocate()
    pool.share(block, cached=True)
    assert (pool.free, pool.available, pool.in_use) == (1, 1, 1)
    pool.release(block)
    assert (pool.free, pool.available, pool.in_use) == (1, 2, 0)
    pool.share(block)  # a sequence resumes there
    assert (pool.free, pool.available, pool.in_use) == (1, 1, 1)
    pool.release(block, cached=True)
    pool.release(block)
    assert (pool.free, pool.available, pool.in_use) == (2, 2, 0)


def test_freed_blocks_are_used_again_before_untouched_ones():
    pool = BlockPool(8)
    assert pool.allocate() == 0
    assert pool.allocate() == 1
    pool.release(0)
    assert pool.allocate() == 0


def test_mistakes_are_caught():
    pool = BlockPool(2)
    with pytest.raises(AssertionError, match="once too often"):
        pool.release(0)
    with pytest.raises(AssertionError, match="cannot be shared"):
        pool.share(1)
    block = pool.allocate()
    with pytest.raises(AssertionError, match="once too often"):
        pool.release(block, cached=True)
