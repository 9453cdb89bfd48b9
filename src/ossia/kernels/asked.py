"""What `ops.lm_head` is told beside rows and weight: what each row wants, how the weight may be screened."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NONE_ALLOWED, INFINITE, NOT_A_NUMBER = -1, -2, -3
"""Instead of a chosen id: no token is allowed; a logit is +inf, or NaN."""

SIGMAS = 6.0
"""Standard deviations to either side of an approximate logit within which the exact one is looked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of each of n rows; the arrays' contents may change between runs.

    `whole` uint8 (n,): 1 to write the row's logits instead of choosing. `temperatures` float32 (n,): 0 takes
    the largest score. `keys` uint64 (n,) of the noise. `mask_of` int32 (n,): row of `masks` uint8 (m, V), 1 =
    allowed, or -1. `penalties` float32 (n, 3): repetition, frequency, presence. Edits: float32 `edit_bias` is
    added to the logits of the ids int32 `edit_ids`, ascending in each row, and the penalties follow where
    `edit_counts` float32 (times in the answer) is not negative; those of row t end at int32 `edit_ends[t]`.
    """

    whole: NDArray[np.uint8]
    temperatures: NDArray[np.float32]
    keys: NDArray[np.uint64]
    mask_of: NDArray[np.int32]
    masks: NDArray[np.uint8]
    penalties: NDArray[np.float32]
    edit_ends: NDArray[np.int32]
    edit_ids: NDArray[np.int32]
    edit_bias: NDArray[np.float32]
    edit_counts: NDArray[np.float32]

    @staticmethod
    def empty(rows: int, masks: int, vocab: int, edits: int) -> "Asked":
        """Rows that want their logits, with room for so many masks and edits."""
        return Asked(
            np.ones(rows, np.uint8),
            np.zeros(rows, np.float32),
            np.zeros(rows, np.uint64),
            np.full(rows, -1, np.int32),
            np.zeros((masks, vocab), np.uint8),
            np.ones((rows, 3), np.float32),
            np.zeros(rows, np.int32),
            np.zeros(edits, np.int32),
            np.zeros(edits, np.float32),
            np.zeros(edits, np.float32),
        )

    def head(self, rows: int) -> "Asked":
        """The first `rows` rows, sharing memory."""
        return Asked(
            self.whole[:rows], self.temperatures[:rows], self.keys[:rows], self.mask_of[:rows], self.masks,
            self.penalties[:rows], self.edit_ends[:rows], self.edit_ids, self.edit_bias, self.edit_counts,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Screen:
    """How the high plane of a head stands for the whole.

    `gain`: factor of the approximate logits. `doubtful` int32 (d,), ascending: rows whose low nibbles are not
    random enough for that; they are always scored exactly. `most_rows`: with more rows of activations the
    whole product is used.
    """

    gain: float
    doubtful: NDArray[np.int32]
    most_rows: int
    sigmas: float = SIGMAS
