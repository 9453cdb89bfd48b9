"""Where sequences keep K and V: blocks taken, shared, copied and given back, in both groups of layers.

Full layers keep every block of a sequence; sliding layers only those the window still shows. Both tables
are indexed by the block's place in the sequence. This file does not decide who runs (`scheduler`).
"""

from collections.abc import Sequence as Row
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ossia.engine.block_pool import BlockPool
from ossia.engine.prefix_cache import PrefixCache, Snapshot, first_visible
from ossia.engine.sequence import NO_BLOCK, Sequence
from ossia.engine.snapshots.store import SnapshotStore, Stored
from ossia.model.kv_cache import BLOCK, Group


class BlockStore(Protocol):
    """What paging needs of the memory itself (`model.kv_cache.KVCache`)."""

    def copy_block(self, group: Group, src: int, dst: int) -> None:
        """Copy K and V of one block in every layer of the group."""
        ...


def window_blocks_needed(sliding_window: int) -> int:
    """Blocks that `sliding_window` tokens can touch, wherever they begin."""
    return -(-(sliding_window - 1) // BLOCK) + 1


class Paging:
    """Gives sequences their blocks, from two pools and the prefix cache.

    `snapshot_every`: tokens between snapshots that nothing else asks for. `prefix_cache` False keeps none.
    `disk`: where prompts are stored and found beside that.
    """

    def __init__(
        self,
        store: BlockStore,
        full: BlockPool,
        window: BlockPool,
        *,
        sliding_window: int,
        snapshot_every: int,
        prefix_cache: bool,
        disk: SnapshotStore | None = None,
    ) -> None:
        assert window.num_blocks >= min(full.num_blocks, window_blocks_needed(sliding_window)), (
            f"{window.num_blocks} window blocks cannot hold a window of {sliding_window}"
        )
        self.full = full
        self.window = window
        self.cache = PrefixCache(full, window, sliding_window)
        self._store = store
        self._sliding_window = sliding_window
        self._snapshot_every = snapshot_every
        self._keeps = prefix_cache
        self._disk = disk if prefix_cache else None

    @property
    def capacity(self) -> int:
        """Tokens of the longest sequence that fits when it is alone."""
        return self.full.num_blocks * BLOCK

    def resume(self, sequence: Sequence) -> int:
        """Begin `sequence` where the longest cached prefix ends; returns that prefix's tokens.

        Whole blocks are shared; a block the prefix ends in is copied, for the sequence will write in it.
        """
        assert sequence.num_blocks == 0, "only a sequence without blocks can be resumed"
        known = sequence.token_ids[: sequence.num_tokens]
        snapshot = self.cache.find(known) if self._keeps else None
        if self._disk is not None and self._restore(sequence, snapshot, self._disk):
            return sequence.num_computed
        if snapshot is None:
            return 0
        self._share(sequence, snapshot)
        if snapshot.tail and not self._copy_tail(sequence, snapshot):
            self.release(sequence)
            return 0
        sequence.num_computed = snapshot.position
        return snapshot.position

    def worth_waiting(self, sequence: Sequence, running: Row[Sequence]) -> bool:
        """Whether somebody in `running` is about to compute, and keep, at least a block more of this
        sequence's beginning than is cached."""
        if not self._keeps:
            return False
        known = sequence.token_ids[: sequence.num_tokens - 1]
        coming = 0
        for other in running:
            if other.num_computed < other.num_prompt:
                alike = _common_prefix(known, other.token_ids[: other.num_prompt])
                coming = max([coming, *self._snapshots_due(other, other.num_computed, alike)])
        if coming < BLOCK:
            return False
        cached = self.cache.find(sequence.token_ids[: sequence.num_tokens])
        return coming >= BLOCK + (cached.position if cached is not None else 0)

    def reserve(self, sequence: Sequence, want: int) -> int:
        """Take blocks for up to `want` more tokens; returns for how many there is room."""
        end = sequence.num_computed + want
        while sequence.num_blocks * BLOCK < end and self._append_block(sequence):
            pass
        return min(want, sequence.num_blocks * BLOCK - sequence.num_computed)

    def room_behind(self, sequence: Sequence, count: int, wanted: int) -> int:
        """Of `wanted` tokens, at most a block of them, behind the next `count`, for how many there is room in
        blocks that nobody has any use for."""
        start = sequence.num_computed + count
        if sequence.num_blocks * BLOCK < start + wanted and self.full.free and self.window.free:
            self._append_block(sequence)
        return min(wanted, sequence.num_blocks * BLOCK - start)

    def has_room(self, sequence: Sequence, spare: int) -> bool:
        """Whether all known tokens of `sequence`, one more, and `spare` blocks fit beside the others."""
        blocks = sequence.num_tokens // BLOCK + 1
        visible = min(blocks, window_blocks_needed(self._sliding_window))
        return (
            blocks - sequence.num_blocks + spare <= self.full.available
            and max(0, visible - (sequence.num_blocks - sequence.window_start)) + spare
            <= self.window.available
        )

    def advance(self, sequence: Sequence, count: int) -> None:
        """`count` more tokens are computed: keep the snapshots due among them, let the window move on."""
        start = sequence.num_computed
        sequence.num_computed += count
        if self._keeps:
            for position in self._snapshots_due(sequence, start, sequence.num_computed):
                self.cache.keep(sequence, position)
                if self._disk is not None:
                    self._disk.offer(sequence, position)
        visible = first_visible(sequence.num_computed, self._sliding_window) // BLOCK
        for i in range(sequence.window_start, min(visible, sequence.num_blocks)):
            self.window.release(int(sequence.window_table[i]))
            sequence.window_table[i] = NO_BLOCK
        sequence.window_start = max(sequence.window_start, min(visible, sequence.num_blocks))

    def keep(self, sequence: Sequence) -> None:
        """Make all that is computed resumable (a conversation goes on where its answer ended)."""
        if self._keeps and sequence.num_computed:
            self.cache.keep(sequence, sequence.num_computed)

    def release(self, sequence: Sequence) -> None:
        """Give back all blocks; what the sequence computed is forgotten."""
        for i in range(sequence.num_blocks):
            self.full.release(int(sequence.full_table[i]))
        for i in range(sequence.window_start, sequence.num_blocks):
            self.window.release(int(sequence.window_table[i]))
        sequence.full_table[: sequence.num_blocks] = NO_BLOCK
        sequence.window_table[: sequence.num_blocks] = NO_BLOCK
        sequence.num_blocks = sequence.window_start = sequence.num_computed = 0

    def _restore(self, sequence: Sequence, snapshot: Snapshot | None, disk: SnapshotStore) -> bool:
        """Begin with a prefix from the disk, if one is so much longer than the cached one that it pays."""
        cached = snapshot.position if snapshot is not None else 0
        for stored in disk.find(sequence):
            restored = stored.position >= cached + disk.spacing and self._has_room_for(stored)
            if restored and not self._read(sequence, snapshot, stored, disk):
                continue  # it was damaged, and is no longer there
            disk.begin(sequence, stored.position)
            return restored
        disk.begin(sequence, 0)
        return False

    def _has_room_for(self, stored: Stored) -> bool:
        blocks = -(-stored.position // BLOCK)
        return blocks <= self.full.available and blocks - stored.window_start <= self.window.available

    def _read(
        self, sequence: Sequence, snapshot: Snapshot | None, stored: Stored, disk: SnapshotStore
    ) -> bool:
        """Fill blocks of its own from the disk, behind those of the cached prefix, and keep them."""
        shared = snapshot.full_blocks() if snapshot is not None else []
        for block in shared:
            self.full.share(block)
        blocks = -(-stored.position // BLOCK)
        first = stored.window_start
        full = shared + [self._must_take(self.full) for _ in range(blocks - len(shared))]
        window = [self._must_take(self.window) for _ in range(blocks - first)]
        sequence.full_table[:blocks] = full
        sequence.window_table[first:blocks] = window
        sequence.num_blocks, sequence.window_start = blocks, first
        if not disk.load(stored, full, len(shared), window):
            self.release(sequence)
            return False
        sequence.num_computed = stored.position
        self.cache.keep(sequence, stored.position)
        return True

    def _must_take(self, pool: BlockPool) -> int:
        block = self._take(pool)
        assert block is not None, "the room was counted before"
        return block

    def _share(self, sequence: Sequence, snapshot: Snapshot) -> None:
        """Hold the snapshot's complete blocks; what lies before its window stays NO_BLOCK."""
        full = snapshot.full_blocks()
        window = snapshot.window_blocks[: len(full) - snapshot.window_start]
        for block in full:
            self.full.share(block)
        for block in window:
            self.window.share(block)
        sequence.full_table[: len(full)] = full
        sequence.window_table[snapshot.window_start : len(full)] = window
        sequence.window_start = min(snapshot.window_start, len(full))
        sequence.num_blocks = len(full)

    def _copy_tail(self, sequence: Sequence, snapshot: Snapshot) -> bool:
        """Append copies of the block the snapshot ends in; False where there is no room for them."""
        sources = snapshot.tail_block, snapshot.window_blocks[-1]
        self.full.share(sources[0])  # held, or making room for the copy could drop them
        self.window.share(sources[1])
        copied = self._append_block(sequence)
        if copied:
            last = sequence.num_blocks - 1
            self._store.copy_block("full", sources[0], int(sequence.full_table[last]))
            self._store.copy_block("window", sources[1], int(sequence.window_table[last]))
        self.full.release(sources[0])
        self.window.release(sources[1])
        return copied

    def _append_block(self, sequence: Sequence) -> bool:
        full = self._take(self.full)
        if full is None:
            return False
        window = self._take(self.window)
        if window is None:
            self.full.release(full)
            return False
        sequence.full_table[sequence.num_blocks] = full
        sequence.window_table[sequence.num_blocks] = window
        sequence.num_blocks += 1
        return True

    def _take(self, pool: BlockPool) -> int | None:
        """A block of `pool`, from the prefix cache if need be (only if that can help)."""
        block = pool.allocate()
        while block is None and pool.available and self.cache.evict():
            block = pool.allocate()
        return block

    def _snapshots_due(self, sequence: Sequence, start: int, end: int) -> list[int]:
        """Positions in (start, end] worth resuming at, ascending."""
        every, prompt = self._snapshot_every, sequence.num_prompt
        if end - start == 1 and start > prompt:  # most often: a token of the answer
            ends_message = sequence.token_ids[start] in sequence.params.boundary_ids
            return [end] if ends_message or end % every == 0 else []
        due = {n * every for n in range(start // every + 1, end // every + 1)}
        # At the prompt's end the next turn diverges; one token earlier the same prompt can be asked again.
        due |= {n for n in (prompt - 1, prompt) if start < n <= end}
        boundaries = sequence.params.boundary_ids
        if boundaries:
            computed = sequence.token_ids[start:end].tolist()
            due |= {start + i + 1 for i, token in enumerate(computed) if token in boundaries}
        return sorted(due)


def _common_prefix(a: NDArray[np.int32], b: NDArray[np.int32]) -> int:
    """Tokens that `a` and `b` begin with alike."""
    size = min(a.size, b.size)
    differ = a[:size] != b[:size]
    return int(differ.argmax()) if differ.any() else size
