"""From the scheduler's chunks to the arrays a forward pass reads."""

from collections.abc import Sequence as Row

import numpy as np
from numpy.typing import NDArray

from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import NO_BLOCK
from ossia.model.batch import Batch
from ossia.model.kv_cache import BLOCK
from ossia.model.sampling import Ask


def make_batch(chunks: Row[Chunk]) -> Batch:
    """T tokens of S sequences, drafts among them; logit rows for the last known token of every sequence
    whose known tokens end in its chunk, and for each token of its draft."""
    counts = np.array([chunk.count + len(chunk.draft) for chunk in chunks], np.int32)
    ends: NDArray[np.int32] = np.cumsum(counts, dtype=np.int32)
    rows = np.repeat(np.arange(len(chunks), dtype=np.int32), counts)
    offsets = np.array([chunk.start for chunk in chunks], np.int32) - (ends - counts)
    positions = np.arange(ends[-1], dtype=np.int32) + offsets[rows]
    width = max(chunk.sequence.num_blocks for chunk in chunks)
    full = _tables([chunk.sequence.full_table for chunk in chunks], width)
    window = _tables([chunk.sequence.window_table for chunk in chunks], width)
    return Batch(
        token_ids=_token_ids(chunks),
        positions=positions,
        rows=rows,
        full_slots=_slots(full, rows, positions),
        window_slots=_slots(window, rows, positions),
        full_table=full,
        window_table=window,
        logit_rows=_logit_rows(chunks, ends.tolist()),
    )


def _token_ids(chunks: Row[Chunk]) -> NDArray[np.int32]:
    """Known tokens and draft, chunk after chunk; (T,)."""
    parts: list[NDArray[np.int32]] = []
    for chunk in chunks:
        parts.append(chunk.sequence.token_ids[chunk.start : chunk.start + chunk.count])
        if chunk.draft:
            parts.append(np.array(chunk.draft, np.int32))
    return np.concatenate(parts)


def _logit_rows(chunks: Row[Chunk], ends: Row[int]) -> NDArray[np.int32]:
    """The rows behind which a token can be sampled, where the chunks end before rows `ends`."""
    rows: list[int] = []
    for chunk, end in zip(chunks, ends, strict=True):
        if chunk.completes:
            rows += range(end - 1 - len(chunk.draft), end)
    return np.array(rows, np.int32)


def make_asks(chunks: Row[Chunk]) -> list[Ask | None]:
    """What is wanted of the batch's logit rows: the tokens behind them, but only logits where penalties, or
    more of a mask than it has written, depend on whether the draft before them is right."""
    return [ask for chunk in chunks if chunk.completes for ask in _asks(chunk)]


def _asks(chunk: Chunk) -> list[Ask | None]:
    s = chunk.sequence
    allowed = chunk.allowed or [None] * (1 + len(chunk.draft))
    asks: list[Ask | None] = [
        Ask(s.params, s.num_tokens + i, s.seed, s.history, row) for i, row in enumerate(allowed)
    ]
    if s.params.has_penalties or (s.params.mask is not None and s.params.needs_logits):
        asks[1:] = [None] * len(chunk.draft)
    return asks


def _tables(tables: list[NDArray[np.int32]], width: int) -> NDArray[np.int32]:
    """One row of `width` blocks per sequence; (S, width)."""
    out = np.full((len(tables), width), NO_BLOCK, np.int32)
    for row, table in zip(out, tables, strict=True):
        row[: table.size] = table[:width]
    return out


def _slots(
    table: NDArray[np.int32], rows: NDArray[np.int32], positions: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Where each token's K and V go: block · 64 + place in the block; (T,)."""
    return table[rows, positions // BLOCK] * np.int32(BLOCK) + positions % BLOCK
