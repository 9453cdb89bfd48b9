"""From the scheduler's chunks to the arrays a forward pass reads."""

from collections.abc import Sequence as Row

import numpy as np
from numpy.typing import NDArray

from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import NO_BLOCK
from ossia.model.batch import Batch
from ossia.model.kv_cache import BLOCK


def make_batch(chunks: Row[Chunk]) -> Batch:
    """T tokens of S sequences, drafts among them; logit rows for the last known token of every sequence
    whose known tokens end in its chunk, and for each token of its draft."""
    counts = np.array([chunk.count + len(chunk.draft) for chunk in chunks])
    ends = np.cumsum(counts)
    positions = [np.arange(c.start, c.start + n, dtype=np.int32) for c, n in zip(chunks, counts, strict=True)]
    width = max(chunk.sequence.num_blocks for chunk in chunks)
    full = _tables([chunk.sequence.full_table for chunk in chunks], width)
    window = _tables([chunk.sequence.window_table for chunk in chunks], width)
    return Batch(
        token_ids=np.concatenate([ids for chunk in chunks for ids in _token_ids(chunk)]),
        positions=np.concatenate(positions),
        rows=np.repeat(np.arange(len(chunks), dtype=np.int32), counts),
        full_slots=_slots(full, positions),
        window_slots=_slots(window, positions),
        full_table=full,
        window_table=window,
        logit_rows=np.concatenate([_logit_rows(c, int(end)) for c, end in zip(chunks, ends, strict=True)]),
    )


def _token_ids(chunk: Chunk) -> list[NDArray[np.int32]]:
    known = chunk.sequence.token_ids[chunk.start : chunk.start + chunk.count]
    return [known, np.array(chunk.draft, np.int32)] if chunk.draft else [known]


def _logit_rows(chunk: Chunk, end: int) -> NDArray[np.int32]:
    """The rows of a chunk, which ends before row `end`, behind which a token can be sampled."""
    return np.arange(end - 1 - len(chunk.draft) if chunk.completes else end, end, dtype=np.int32)


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
