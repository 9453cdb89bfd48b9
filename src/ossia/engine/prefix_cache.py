"""Prefixes computed before, shared between sequences to the exact token.

A prefix of n tokens can be resumed only where its *snapshot* was kept: K and V of all n tokens in the full
layers, and of the last window of tokens in the sliding ones. Full blocks hang in a tree, one node per
block of 64 tokens, so conversations with a common beginning share them; a snapshot hangs on the node
where it ends, with the tokens and the block that are left over. Keys are the tokens themselves, so a
hash collision cannot give one conversation another's memory.

Taking a snapshot copies nothing: the sequence goes on writing behind it in the same block. Who resumes
inside a block copies that block first (`paging`), so what a snapshot shows never changes.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ossia.engine.block_pool import BlockPool
from ossia.engine.sequence import NO_BLOCK, Sequence
from ossia.model.kv_cache import BLOCK

_ID_BYTES = 4  # token ids are int32


@dataclass(eq=False, slots=True)
class Node:
    """One full block of tokens after its parent's; the tree's root has neither tokens nor block."""

    parent: "Node | None" = None
    key: bytes = b""  # its 64 token ids
    block: int = NO_BLOCK
    children: dict[bytes, "Node"] = field(default_factory=dict[bytes, "Node"])
    snapshots: dict[bytes, "Snapshot"] = field(default_factory=dict[bytes, "Snapshot"])  # by left-over tokens


@dataclass(eq=False, slots=True)
class Snapshot:
    """Where a sequence can be resumed: after `position` tokens.

    `tail_block` holds the `position % 64` tokens behind the node's (NO_BLOCK where there are none);
    `window_blocks` are the sliding layers' blocks from block index `window_start` to the last.
    """

    position: int
    node: Node
    tail: bytes
    tail_block: int
    window_start: int
    window_blocks: tuple[int, ...]

    def full_blocks(self) -> list[int]:
        """The full layers' complete blocks, first to last."""
        blocks: list[int] = []
        node = self.node
        while node.parent is not None:
            blocks.append(node.block)
            node = node.parent
        return blocks[::-1]


class PrefixCache:
    """Snapshots over two pools, the least recently used one dropped first."""

    def __init__(self, full: BlockPool, window: BlockPool, sliding_window: int) -> None:
        self._full = full
        self._window = window
        self._sliding_window = sliding_window
        self._root = Node()
        self._recent: OrderedDict[Snapshot, None] = OrderedDict()  # oldest use first
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._recent)

    def find(self, token_ids: NDArray[np.int32]) -> Snapshot | None:
        """The longest snapshot that begins `token_ids` (n,) and leaves at least one token to compute."""
        node, path = self._root, [self._root]
        for start in range(0, token_ids.size - BLOCK, BLOCK):
            child = node.children.get(token_ids[start : start + BLOCK].tobytes())
            if child is None:
                break
            node = child
            path.append(node)
        for depth in range(len(path) - 1, -1, -1):
            rest = token_ids[depth * BLOCK : min((depth + 1) * BLOCK, token_ids.size) - 1]
            if (snapshot := _longest(path[depth], rest.tobytes())) is not None:
                self._recent.move_to_end(snapshot)
                return snapshot
        return None

    def keep(self, sequence: Sequence, position: int) -> None:
        """Make the first `position` tokens of `sequence` resumable; its window there must still be held.

        A full block that the tree already has is taken over by the sequence, and its own given back.
        """
        assert 0 < position <= sequence.num_computed, f"no snapshot at {position}: not computed yet"
        window_start = first_visible(position, self._sliding_window) // BLOCK
        assert window_start >= sequence.window_start, f"the window before {position} was let go"
        node = self._descend(sequence, position // BLOCK)
        tail = sequence.token_ids[position // BLOCK * BLOCK : position].tobytes()
        if (known := node.snapshots.get(tail)) is not None:
            self._recent.move_to_end(known)
            return
        blocks = -(-position // BLOCK)
        tail_block = int(sequence.full_table[blocks - 1]) if tail else NO_BLOCK
        window_blocks = tuple(sequence.window_table[window_start:blocks].tolist())
        if tail:
            self._full.share(tail_block, cached=True)
        for block in window_blocks:
            self._window.share(block, cached=True)
        snapshot = Snapshot(position, node, tail, tail_block, window_start, window_blocks)
        node.snapshots[tail] = snapshot
        self._recent[snapshot] = None

    def evict(self) -> bool:
        """Drop the least recently used snapshot; False where there is none."""
        if not self._recent:
            return False
        snapshot, _ = self._recent.popitem(last=False)
        self.evictions += 1
        if snapshot.tail:
            self._full.release(snapshot.tail_block, cached=True)
        for block in snapshot.window_blocks:
            self._window.release(block, cached=True)
        del snapshot.node.snapshots[snapshot.tail]
        self._prune(snapshot.node)
        return True

    def _descend(self, sequence: Sequence, depth: int) -> Node:
        """The node of the sequence's first `depth` blocks, made where it is missing."""
        node = self._root
        for i in range(depth):
            key = sequence.token_ids[i * BLOCK : (i + 1) * BLOCK].tobytes()
            own = int(sequence.full_table[i])
            child = node.children.get(key)
            if child is None:
                child = node.children[key] = Node(node, key, own)
                self._full.share(own, cached=True)
            elif child.block != own:  # the same bits, computed twice
                self._full.share(child.block)
                self._full.release(own)
                sequence.full_table[i] = child.block
            node = child
        return node

    def _prune(self, node: Node) -> None:
        """Give back the blocks of nodes that lead to no snapshot."""
        while node.parent is not None and not node.children and not node.snapshots:
            self._full.release(node.block, cached=True)
            del node.parent.children[node.key]
            node = node.parent


def first_visible(position: int, sliding_window: int) -> int:
    """The first token a sliding layer shows the token at `position`."""
    return max(0, position - sliding_window + 1)


def _longest(node: Node, rest: bytes) -> Snapshot | None:
    """The node's snapshot with the most left-over tokens that begin `rest`."""
    if not node.snapshots:
        return None
    for size in range(len(rest), -1, -_ID_BYTES):
        if (snapshot := node.snapshots.get(rest[:size])) is not None:
            return snapshot
    return None
