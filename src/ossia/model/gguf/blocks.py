"""What the bytes of a GGUF tensor mean: blocks of 32 turned into the layouts our kernels read.

An MXFP4 block is a scale byte and 16 bytes whose low nibbles are elements 0 to 15 and high nibbles 16 to 31;
ours pairs neighbours, low nibble first. A Q8_0 block is a float16 scale and 32 int8 codes. Every function
takes bytes and fills arrays it is given, in pieces that stay in a core's cache; none re-quantises.
"""

import numpy as np
from numpy.typing import NDArray

BLOCK = 32
_STEP = 8192  # blocks at a time: some 600 KB with what is in between

_MXFP4 = np.dtype([("scale", "u1"), ("nibbles", "V16")])
_Q8_0 = np.dtype([("scale", "<f2"), ("codes", "V32")])
_LOW = np.uint16(0x0F0F)
_FOUR = np.uint16(4)

Bytes = NDArray[np.uint8]


def repack_mxfp4(raw: Bytes, blocks: Bytes, scales: Bytes, *, published: bool = False) -> None:
    """MXFP4 rows as published: `raw` (rows, 17·K/32) → `blocks` (rows, K/32, 16), `scales` (rows, K/32).

    The outputs' rows may lie apart; a row itself is contiguous. `published`: nibbles are in order already.
    """
    rows, per_row = scales.shape
    stored, words = raw.view(_MXFP4), blocks.view(np.uint64)  # (rows, K/32), (rows, K/32, 2)
    step = max(1, _STEP // per_row)
    for first in range(0, rows, step):
        part = slice(first, first + step)
        scales[part] = stored["scale"][part]
        nibbles = np.ascontiguousarray(stored["nibbles"][part]).view(np.uint16)
        if published:
            words[part] = nibbles.view(np.uint64).reshape(-1, per_row, 2)
            continue
        words[part, :, 0] = _paired(nibbles & _LOW).reshape(-1, per_row)
        words[part, :, 1] = _paired((nibbles >> _FOUR) & _LOW).reshape(-1, per_row)


def _paired(pairs: NDArray[np.uint16]) -> NDArray[np.uint64]:
    """Two nibbles, one a byte, of each uint16 → one byte, the first low; eight of them → one uint64."""
    return (pairs | (pairs >> _FOUR)).astype(np.uint8).view(np.uint64)


def unpack_q8_0(raw: Bytes, codes: NDArray[np.int8], scales: NDArray[np.float32]) -> bool:
    """Q8_0 rows as they are: `raw` (rows, 34·K/32) → `codes` (rows, K), `scales` (rows, K/32): x = s·q.

    Returns whether our kernels can multiply them: no code of −128 and only finite scales (no quantiser
    writes others).
    """
    rows, per_row = scales.shape
    stored = raw.view(_Q8_0)
    step = max(1, _STEP // per_row)
    usable = True
    for first in range(0, rows, step):
        part = slice(first, first + step)
        codes[part] = np.ascontiguousarray(stored["codes"][part]).view(np.int8).reshape(-1, per_row * BLOCK)
        scales[part] = stored["scale"][part]
        usable &= bool(codes[part].min(initial=0) > -128 and np.isfinite(scales[part]).all())
    return usable


def q8_0_to_float(raw: Bytes) -> NDArray[np.float32]:
    """Q8_0 blocks (any number of bytes) → float32, 32 values a block: exact, a float16 times an int8."""
    stored = raw.reshape(-1).view(_Q8_0)
    codes = np.ascontiguousarray(stored["codes"]).view(np.int8).reshape(-1, BLOCK)
    values = codes.astype(np.float32)
    values *= stored["scale"].astype(np.float32)[:, None]
    return values.reshape(-1)


def round_to_bf16(values: NDArray[np.float32], out: NDArray[np.uint16]) -> bool:
    """float32 → bf16's bits, to nearest even, `values` being overwritten; False where one is inf or NaN.

    In few passes without temporaries: an embedding has half a billion values.
    """
    bits = values.view(np.uint32)
    finite = bool(np.isfinite(values).all())
    odd = bits >> np.uint32(16)
    odd &= np.uint32(1)
    bits += odd
    bits += np.uint32(0x7FFF)
    np.copyto(out, bits.view(np.uint16)[..., 1::2], casting="no")
    return finite


def q4_1_to_float(raw: Bytes) -> NDArray[np.float32]:
    """Q4_1 blocks → float32: float16 scale and minimum, 32 nibbles, the low ones first: x = d·q + m."""
    blocks = raw.reshape(-1, 20)
    affine = blocks[:, :4].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate((blocks[:, 4:] & 15, blocks[:, 4:] >> 4), axis=1).astype(np.float32)
    return (affine[:, :1] * nibbles + affine[:, 1:]).reshape(-1)
