"""From the scheduler's chunks to the arrays a forward pass reads."""

from collections.abc import Sequence as Row

import numpy as np
from numpy.typing import NDArray

from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import NO_BLOCK
from ossia.model.batch import Batch
from ossia.model.kv_cache import BLOCK


def make_batch(chunks: Row[Chunk]) -> Batch:
    """T tokens of S sequences; a logit row for every sequence whose known tokens end in its chunk."""
    counts = np.array([chunk.count for chunk in chunks])
    ends = np.cumsum(counts)
    positions = [np.arange(c.start, c.start + c.count, dtype=np.int32) for c in chunks]
    width = max(chunk.sequence.num_blocks for chunk in chunks)
    full = _tables([chunk.sequence.full_table for chunk in chunks], width)
    window = _tables([chunk.sequence.window_table for chunk in chunks], width)
    return Batch(
        token_ids=np.concatenate([c.sequence.token_ids[c.start : c.start + c.count] for c in chunks]),
        positions=np.concatenate(positions),
        rows=np.repeat(np.arange(len(chunks), dtype=np.int32), counts),
        full_slots=_slots(full, positions),
        window_slots=_slots(window, positions),
        full_table=full,
        window_table=window,
        logit_rows=np.array([end - 1 for c, end in zip(chunks, ends, strict=True) if c.completes], np.int32),
    )


def _tables(tables: list[NDArray[np.int32]], width: int) -> NDArray[np.int32]:
    """One row of `width` blocks per sequence; (S, width)."""
    out = np.full((len(tables), width), NO_BLOCK, np.int32)
    for row, table in zip(out, tables, strict=True):
        row[: table.size] = table[:width]
    return out


def _slots(table: NDArray[np.int32], positions: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Where each token's K and V go: block · 64 + place in the block; (T,)."""
    rows = zip(table, positions, strict=True)
    return np.concatenate([row[at // BLOCK] * np.int32(BLOCK) + at % BLOCK for row, at in rows])
