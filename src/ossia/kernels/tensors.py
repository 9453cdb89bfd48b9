"""What the ops work on: rows ready to be multiplied, weights, and one layer's paged K and V.

Frozen dataclasses over C-contiguous numpy arrays, checked when made. The arrays' contents may change (that is
how a program is run again); the arrays themselves may not.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import _native
from ossia.settings import KVKind, Numerics

BLOCK = 32  # elements that share a scale
TILE = 64  # positions of a cache block, and keys of an attention tile
_SCALE_ROWS = 2  # rows of 64 bytes that hold a bf16 scale for each of 64 positions

Kind = Literal["mxfp4", "q8", "bf16", "f32", "q8_planes"]

_DTYPES: dict[str, type[np.generic]] = {
    "mxfp4": np.uint8,
    "q8": np.int8,
    "bf16": np.uint16,
    "f32": np.float32,
    "q8_planes": np.int8,
}


def _check(name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    right = array.dtype == dtype and array.shape == shape and array.flags.c_contiguous
    assert right, f"{name} must be C-contiguous {dtype.__name__} {shape}, got {array.dtype} {array.shape}"


@dataclass(frozen=True, slots=True)
class Activation:
    """Rows ready to be multiplied; width is a multiple of 32.

    q8: data int8 (rows, width), scales float32 (rows, width/32), and two companions the kernels use:
    split int8 (rows, width), each block's 16 even then 16 odd elements, and sums int32 (rows, width/32).
    bf16: data uint16; f32: data float32; the other fields None.
    """

    numerics: Numerics
    data: NDArray[Any]
    scales: NDArray[np.float32] | None
    split: NDArray[np.int8] | None
    sums: NDArray[np.int32] | None

    def __post_init__(self) -> None:
        rows, width = self.data.shape
        assert width % BLOCK == 0, f"an activation's width must be a multiple of {BLOCK}, got {width}"
        _check("data", self.data, _DTYPES[self.numerics], (rows, width))
        companions = (self.scales, self.split, self.sums)
        if self.numerics != "q8":
            assert all(c is None for c in companions), "only q8 has companions"
            return
        assert self.scales is not None, "q8 needs scales"
        assert self.split is not None, "q8 needs split"
        assert self.sums is not None, "q8 needs sums"
        _check("scales", self.scales, np.float32, (rows, width // BLOCK))
        _check("split", self.split, np.int8, (rows, width))
        _check("sums", self.sums, np.int32, (rows, width // BLOCK))

    @staticmethod
    def empty(rows: int, width: int, numerics: Numerics) -> "Activation":
        """Zeroed rows of `width` (a multiple of 32) in the given numerics."""
        data = np.zeros((rows, width), _DTYPES[numerics])
        if numerics != "q8":
            return Activation(numerics, data, None, None, None)
        blocks = (rows, width // BLOCK)
        return Activation(
            numerics,
            data,
            np.zeros(blocks, np.float32),
            np.zeros((rows, width), np.int8),
            np.zeros(blocks, np.int32),
        )

    @property
    def rows(self) -> int:
        return self.data.shape[0]

    @property
    def width(self) -> int:
        return self.data.shape[1]

    def head(self, rows: int) -> "Activation":
        """The first `rows` rows, sharing memory."""
        if self.scales is None or self.split is None or self.sums is None:
            return Activation(self.numerics, self.data[:rows], None, None, None)
        return Activation(
            self.numerics, self.data[:rows], self.scales[:rows], self.split[:rows], self.sums[:rows]
        )

    def to_float(self) -> NDArray[np.float32]:
        """The values these rows stand for, float32 (rows, width)."""
        if self.numerics == "f32":
            return np.asarray(self.data, np.float32).copy()
        if self.numerics == "bf16":
            return bf16_to_f32(self.data)
        assert self.scales is not None
        return np.asarray(self.data.astype(np.float32) * np.repeat(self.scales, BLOCK, axis=1), np.float32)


@dataclass(frozen=True, slots=True)
class Matrix:
    """E stacked weights (N, K), multiplied as out = x · wᵀ; E = 1 for a dense linear. K is a multiple of 32.

    mxfp4: data uint8 (E, N, K/32, 16) in the published layout, low nibble first, scales uint8 (E, N, K/32)
    meaning 2^(scale - 127), 255 being NaN. q8: data int8 (E, N, K), scales float32 (E, N, K/32).
    bf16: data uint16 (E, N, K). f32: data float32 (E, N, K). q8_planes: q8's arrays with their bytes in
    another order (csrc/ops.h), which only `lm_head` reads.
    An mxfp4 weight multiplies under every numerics, the others under their own. Arrays may be memory-mapped.
    """

    kind: Kind
    data: NDArray[Any]
    scales: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        assert self.kind in get_args(Kind), f"unknown weight kind {self.kind}"
        experts, rows, width = self.shape
        assert width % BLOCK == 0, f"a weight's inner width must be a multiple of {BLOCK}, got {width}"
        blocks = (experts, rows, width // BLOCK)
        packed = (*blocks, 16) if self.kind == "mxfp4" else self.shape
        _check("data", self.data, _DTYPES[self.kind], packed)
        if self.kind in ("bf16", "f32"):
            assert self.scales is None, f"{self.kind} weights have no scales"
            return
        assert self.scales is not None, f"{self.kind} weights need scales"
        _check("scales", self.scales, np.uint8 if self.kind == "mxfp4" else np.float32, blocks)

    @staticmethod
    def empty(experts: int, rows: int, width: int, numerics: Numerics) -> "Matrix":
        """A dense weight whose rows are yet to be written; `width` is a multiple of 32."""
        data = np.empty((experts, rows, width), _DTYPES[numerics])
        scales = np.empty((experts, rows, width // BLOCK), np.float32) if numerics == "q8" else None
        return Matrix(numerics, data, scales)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(E, N, K)"""
        experts, rows, width = self.data.shape[:3]
        return experts, rows, width * BLOCK if self.kind == "mxfp4" else width

    @property
    def nbytes(self) -> int:
        return self.data.nbytes + (0 if self.scales is None else self.scales.nbytes)


@dataclass(frozen=True, slots=True)
class KVLayer:
    """Paged K and V of one layer: in each block and head K as (D, 64), keys side by side, and V as (64, D).

    k (num_blocks, Hkv, D, 64) and v (num_blocks, Hkv, 64, D), uint16 (bf16) or float32. int8: both
    (num_blocks, Hkv, D + 2, 64), the codes in their order and behind them 64 scales, one for each position,
    as bf16's bits. A value is code · scale.
    """

    k: NDArray[Any]
    v: NDArray[Any]

    def __post_init__(self) -> None:
        dtypes = [_DTYPES[kind] for kind in ("bf16", "f32", "q8")]
        assert self.k.dtype in dtypes, f"K must be uint16, float32 or int8, got {self.k.dtype}"
        assert self.k.shape[3:] == (TILE,), f"K must be (blocks, Hkv, rows, {TILE}), got {self.k.shape}"
        blocks, heads, rows, _ = self.k.shape
        of_v = (rows, TILE) if self.k.dtype == np.int8 else (TILE, rows)
        _check("k", self.k, self.k.dtype.type, self.k.shape)
        _check("v", self.v, self.k.dtype.type, (blocks, heads, *of_v))

    @staticmethod
    def empty(blocks: int, heads: int, head_dim: int, kind: KVKind) -> "KVLayer":
        """Zeroed blocks; `head_dim` is a multiple of 16. No memory is taken before a block is written."""
        if kind == "int8":
            shape = (blocks, heads, head_dim + _SCALE_ROWS, TILE)
            return KVLayer(np.zeros(shape, np.int8), np.zeros(shape, np.int8))
        dtype = _DTYPES[kind]
        k, v = (blocks, heads, head_dim, TILE), (blocks, heads, TILE, head_dim)
        return KVLayer(np.zeros(k, dtype), np.zeros(v, dtype))


def f32_to_bf16(x: NDArray[np.float32]) -> NDArray[np.uint16]:
    """float32 → bf16 bits, round to nearest even; NaN stays NaN."""
    u = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = (u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    nan = (u & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    return np.where(nan, (u >> np.uint32(16)) | np.uint32(0x40), rounded).astype(np.uint16)


def bf16_to_f32(x: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bf16 bits → float32, exact."""
    return (x.astype(np.uint32) << np.uint32(16)).view(np.float32)


def pack_matrix(w: NDArray[np.float32] | NDArray[np.uint16], numerics: Numerics) -> Matrix:
    """A dense weight float32 or bf16 (N, K) or (E, N, K) as the Matrix that multiplies under `numerics`."""
    stack = w[None] if w.ndim == 2 else w
    experts, rows, width = stack.shape
    packed = Matrix.empty(experts, rows, width, numerics)
    for e in range(experts):
        assert pack_rows(stack[e], packed, e), "a weight holds inf or NaN"
    return packed


def pack_rows(
    w: NDArray[np.float32] | NDArray[np.uint16], into: Matrix, expert: int = 0, first: int = 0
) -> bool:
    """Write dense rows float32 or bf16 (n, K) as rows `first` to `first + n` of one of `into`'s weights.

    q8: per block of 32 along K, scale = max|w| / 127, rounded to nearest even (0 where max|w| < 2^-100), on
    the calling thread without the GIL; False, and rows not to be used, where a value is inf or NaN.
    bf16: kept as it is, float32 rounded. f32: exact.
    """
    part = slice(first, first + len(w))
    assert w.dtype in (np.uint16, np.float32), f"rows must be float32 or bf16's bits, got {w.dtype}"
    assert into.kind != "mxfp4", "dense rows are not packed as MXFP4"
    if into.kind == "q8":
        assert into.scales is not None, "q8 weights need scales"
        rows = np.require(w, requirements=["C", "A"])
        return _native.pack_q8(rows, into.data[expert, part], into.scales[expert, part])
    if into.kind == "bf16":
        into.data[expert, part] = w if w.dtype == np.uint16 else f32_to_bf16(_as_f32(w))
    else:
        into.data[expert, part] = _as_f32(w)
    return True


def _as_f32(w: NDArray[Any]) -> NDArray[np.float32]:
    return bf16_to_f32(w) if w.dtype == np.uint16 else w
