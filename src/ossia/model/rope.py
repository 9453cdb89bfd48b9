"""Rotary position embedding: YaRN's frequencies, and cosines and sines by position.

Angles are float64. The reference implementations form them in float32, which at position 131,072 is
4-7 milliradians off; below the original context both agree to float32's rounding.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ossia.model.config import RopeConfig

_CHUNK = 1024


def inverse_frequencies(rope: RopeConfig, head_dim: int) -> NDArray[np.float64]:
    """Radians per position of each pair of dimensions, float64 (D/2,).

    "NTK by parts" (YaRN, arXiv 2309.00071, section 3.2): pairs that turn more than beta_fast times within
    the original context keep their frequency, those that turn less than beta_slow times are slowed
    by `factor`, and between the two lies a linear ramp over the pair's index, left fractional.
    """
    pairs = head_dim // 2
    plain = rope.theta ** (-np.arange(pairs, dtype=np.float64) * 2 / head_dim)
    if rope.factor == 1:
        return plain
    low, high = _pair_turning(rope, head_dim, rope.beta_fast), _pair_turning(rope, head_dim, rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    ramp = np.clip((np.arange(pairs) - low) / max(high - low, 1e-3), 0, 1)
    return plain * (1 - ramp) + plain / rope.factor * ramp


def attention_factor(rope: RopeConfig) -> float:
    """What cosines and sines are multiplied with: 0.1 ln(factor) + 1 unless config.json says otherwise."""
    if rope.attention_factor is not None:
        return rope.attention_factor
    return 0.1 * math.log(rope.factor) + 1 if rope.factor > 1 else 1.0


def _pair_turning(rope: RopeConfig, head_dim: int, turns: float) -> float:
    """Index (fractional) of the pair that turns `turns` times within the original context."""
    wavelength = rope.original_max_position_embeddings / (turns * 2 * math.pi)
    return head_dim * math.log(wavelength) / (2 * math.log(rope.theta))


class RopeTable:
    """cos and sin, times the attention factor, of every position below a limit; float32 (limit, D/2).

    Filled in chunks of fixed size as positions are asked for: the vector code behind np.cos may round by
    its place in an array, and a position's values must not depend on who asks.
    """

    def __init__(self, rope: RopeConfig, head_dim: int, limit: int) -> None:
        self._inverse = inverse_frequencies(rope, head_dim)
        self._factor = attention_factor(rope)
        chunks = -(-limit // _CHUNK)
        self._cos = np.empty((chunks * _CHUNK, head_dim // 2), np.float32)
        self._sin = np.empty_like(self._cos)
        self._filled = np.zeros(chunks, np.bool_)

    def write(self, positions: NDArray[np.int32], cos: NDArray[np.float32], sin: NDArray[np.float32]) -> None:
        """Rows of `positions` (T,) into cos and sin (T, D/2)."""
        chunks = positions // _CHUNK
        if not self._filled[chunks].all():
            for chunk in np.unique(chunks):
                self._fill(int(chunk))
        np.take(self._cos, positions, axis=0, out=cos, mode="clip")
        np.take(self._sin, positions, axis=0, out=sin, mode="clip")

    def _fill(self, chunk: int) -> None:
        if self._filled[chunk]:
            return
        rows = slice(chunk * _CHUNK, (chunk + 1) * _CHUNK)
        angles = np.arange(rows.start, rows.stop, dtype=np.float64)[:, None] * self._inverse
        self._cos[rows] = np.cos(angles) * self._factor
        self._sin[rows] = np.sin(angles) * self._factor
        self._filled[chunk] = True
