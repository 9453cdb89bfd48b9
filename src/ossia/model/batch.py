"""What one forward pass is told: tokens of one or more sequences, where they stand and where K and V go."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossia.model.kv_cache import BLOCK

Ints = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Batch:
    """T tokens of S sequences; everything int32.

    Tokens of one sequence stand in order of position. Slots are block · BLOCK + offset, per group. Tables are
    indexed by absolute block (position // BLOCK); -1 in `window_table` where a block was let go.
    """

    token_ids: Ints  # (T,)
    positions: Ints  # (T,) absolute
    rows: Ints  # (T,) which row of the tables
    full_slots: Ints  # (T,)
    window_slots: Ints  # (T,)
    full_table: Ints  # (S, B)
    window_table: Ints  # (S, B)
    logit_rows: Ints  # (n,) the tokens whose logits are wanted

    def __post_init__(self) -> None:
        t = self.token_ids.shape
        for name in ("token_ids", "positions", "rows", "full_slots", "window_slots"):
            array: Ints = getattr(self, name)
            assert array.dtype == np.int32, f"{name} is {array.dtype}, not int32"
            assert array.shape == t, f"{name} has shape {array.shape}, not {t}"
        assert len(t) == 1, f"token_ids has shape {t}"
        assert t[0] > 0, "a batch without tokens"
        assert self.full_table.shape == self.window_table.shape, "the two tables differ in shape"
        assert self.full_table.ndim == 2, f"tables have shape {self.full_table.shape}"
        assert int(self.positions.min()) >= 0, "a position below zero"
        assert int(self.rows.max()) < len(self.full_table), "a token's row is outside the tables"
        assert self.logit_rows.size == 0 or int(self.logit_rows.max()) < t[0], "a logit row is no token"


def single_sequence(token_ids: Sequence[int], start: int = 0, *, all_logits: bool = False) -> Batch:
    """A batch of one sequence from position `start` on, whose block b lies in block b of either group.

    For whoever has a cache to itself: evaluation, comparison, warm-up. Logits of the last token, or of all.
    """
    t = len(token_ids)
    positions = np.arange(start, start + t, dtype=np.int32)
    table = np.arange(-(-(start + t) // BLOCK), dtype=np.int32)[None]
    return Batch(
        token_ids=np.asarray(token_ids, np.int32),
        positions=positions,
        rows=np.zeros(t, np.int32),
        full_slots=positions,
        window_slots=positions,
        full_table=table,
        window_table=table,
        logit_rows=np.arange(t, dtype=np.int32) if all_logits else np.array([t - 1], np.int32),
    )
