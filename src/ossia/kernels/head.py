"""An int8 weight in two planes of nibbles, of which choosing a token reads one.

The high nibble of a code says all but which of sixteen values it is. So the high plane alone gives a logit
up to an error whose spread is known, if low nibbles are as good as random: `screen` looks at every row
whether they are, and finds the one factor by which the approximate logits are to be corrected.
"""

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import ops
from ossia.kernels.asked import Screen
from ossia.kernels.tensors import Matrix

_VARIANCE = 23.0  # of a low nibble, as csrc/ops.h has it
_MOST_VARIANCE = 1.1 * _VARIANCE
_MOST_DEVIATION = 7.0  # of what should be normal with variance 1
_MOST_DOUBTFUL = 1 / 64  # of the rows
_LEAST_WIDTH, _LEAST_VOCAB = 512, 8192  # of a weight that is worth it
_WIDE = 2048
_MOST_ROWS, _MOST_NARROW_ROWS = 8, 2  # of activations, up to which screening is faster than the whole product


def most_screened(vocab: int, width: int) -> int:
    """Rows of activations up to which a screened q8 weight (vocab, width) is faster (docs/performance.md)."""
    if width < _LEAST_WIDTH or vocab < _LEAST_VOCAB:
        return 0
    return _MOST_ROWS if width >= _WIDE else _MOST_NARROW_ROWS


def screen(w: Matrix) -> tuple[Matrix, Screen | None]:
    """The q8 weight `w` (1, N, K) as two planes, rearranged in place: `w` must not be used any more.

    None instead of a screen where too many rows are doubtful for it to be of use.
    """
    assert w.kind == "q8", f"only a q8 weight has planes of nibbles, not {w.kind}"
    assert w.scales is not None, "q8 needs scales"
    stats = np.zeros((w.shape[1], 5))
    p = ops.Program()
    ops.split_planes(p, w.data[0], w.scales[0], stats)
    p.run()
    return Matrix("q8_planes", w.data, w.scales), _judge(stats, w.shape[2])


def _judge(stats: NDArray[np.float64], width: int) -> Screen | None:
    """From each row's sums of s², s²q², s²ql, sl, s²l² (s scale, q code, l = low nibble - 7.5).

    The gain makes errors orthogonal to the weights: Σ s²q (q - gain (q - l)) = 0 over all rows. What is left
    of that sum in a row is how many standard deviations an activation along the row would find itself off,
    and sl the same for one along the diagonal; both are normal with variance 1 where nibbles are random.
    """
    s2, qq, ql, low, ll = stats.T
    total, off = float(qq.sum()), float(ql.sum())
    if not 0 < total - off < np.inf:
        return None
    gain = total / (total - off)
    used = qq > 0
    spread = np.sqrt(_VARIANCE * np.where(used, s2, 1))
    along = (ql - (1 - 1 / gain) * qq) / spread / np.sqrt(np.where(used, qq, 1) / width)
    sound = (np.abs(along) < _MOST_DEVIATION) & (np.abs(low / spread) < _MOST_DEVIATION)
    sound &= (ll < _MOST_VARIANCE * s2) & np.isfinite(stats).all(1)
    doubtful = np.flatnonzero(used & ~sound).astype(np.int32)
    most_rows = most_screened(len(stats), width)
    return Screen(gain, doubtful, most_rows) if doubtful.size <= _MOST_DOUBTFUL * len(stats) else None
