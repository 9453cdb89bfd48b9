"""Rounds float32 to MXFP4, in the layout gpt-oss checkpoints are published in.

MXFP4: 32 elements of the last axis share a scale 2^(u8 − 127); each is one of ±{0, .5, 1, 1.5, 2, 3, 4, 6},
two to a byte, low nibble first. The scale's exponent is floor(log2(amax · 8/7)) − 2: where the OCP rule
would let values above 7 clip to 6, this takes the next scale (perplexity +18% instead of +24% on pocket's
base).
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
_MIDPOINTS = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], np.float32)
_TIES_UP = (0.75, 1.75, 3.5)  # where the even code is the upper neighbour


def to_mxfp4(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """weights (…, K), K % 32 == 0 → blocks (…, K/32, 16) and scales (…, K/32)."""
    shape = (*weights.shape[:-1], weights.shape[-1] // BLOCK, BLOCK)
    blocks = np.ascontiguousarray(weights, np.float32).reshape(shape)
    magnitude = np.abs(blocks)
    amax = np.maximum(magnitude.max(axis=-1, keepdims=True), np.float32(2.0**-100))
    # frexp: x = m · 2^e with m in [.5, 1), so floor(log2 x) = e − 1, without a logarithm's rounding.
    exponent = np.frexp(amax * np.float32(8 / 7))[1] - 3
    scaled = np.ldexp(magnitude, -exponent)
    codes = np.zeros(scaled.shape, np.uint8)
    for midpoint in _MIDPOINTS:
        codes += scaled >= midpoint if midpoint in _TIES_UP else scaled > midpoint
    codes |= np.signbit(blocks).astype(np.uint8) << 3
    packed = codes[..., 0::2] | (codes[..., 1::2] << 4)
    return packed.astype(np.uint8), (exponent[..., 0] + 127).astype(np.uint8)


def from_mxfp4(blocks: NDArray[np.uint8], scales: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The values of `to_mxfp4`'s result: (…, K)."""
    table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
    table = np.concatenate((table, -table))
    codes = np.stack((blocks & 15, blocks >> 4), axis=-1).reshape(*blocks.shape[:-1], BLOCK)
    values = np.ldexp(table[codes], scales[..., None].astype(np.int32) - 127)
    return values.reshape(*scales.shape[:-1], scales.shape[-1] * BLOCK)
