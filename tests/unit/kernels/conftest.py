"""What the kernel tests share: operands, memory that ends at a forbidden page, runs under every plan."""

import ctypes
import mmap
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, KVLayer, Matrix, bf16_to_f32, f32_to_bf16, pack_matrix

_LIBC = ctypes.CDLL(None, use_errno=True)
_PAGE = mmap.PAGESIZE
_KEPT: list[mmap.mmap] = []  # numpy does not own the pages


def guarded(array: np.ndarray) -> np.ndarray:
    """A copy whose last byte is followed by a page that may not be read."""
    pages = (array.nbytes + _PAGE - 1) // _PAGE
    area = mmap.mmap(-1, (pages + 1) * _PAGE)
    _KEPT.append(area)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    assert _LIBC.mprotect(ctypes.c_void_p(start + pages * _PAGE), _PAGE, 0) == 0
    out = np.frombuffer(area, np.uint8, array.nbytes, pages * _PAGE - array.nbytes)
    out = out.view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def shifted(array: np.ndarray, offset: int) -> np.ndarray:
    """A copy that begins `offset` bytes past a 64-byte boundary, as tensors in a mapped file may."""
    raw = np.empty(array.nbytes + 128, np.uint8)
    begin = -raw.ctypes.data % 64 + offset
    out = raw[begin : begin + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def activation(x: np.ndarray, numerics: str) -> Activation:
    out = Activation.empty(*x.shape, numerics)
    p = ops.Program()
    ops.quantize(p, np.ascontiguousarray(x, np.float32), out)
    p.run()
    return out


def matrix(rng: np.random.Generator, kind: str, experts: int, rows: int, width: int) -> Matrix:
    if kind == "mxfp4":
        data = rng.integers(0, 256, (experts, rows, width // 32, 16), np.uint8)
        return Matrix("mxfp4", data, rng.integers(116, 128, (experts, rows, width // 32)).astype(np.uint8))
    return pack_matrix(rng.standard_normal((experts, rows, width)).astype(np.float32), kind)


def to_float64(w: Matrix) -> np.ndarray:
    """The weight's values (E, N, K)."""
    if w.kind == "mxfp4":
        table = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])
        codes = np.stack([w.data & 15, w.data >> 4], axis=-1).reshape(*w.data.shape[:3], 32)
        scales = np.ldexp(1.0, w.scales.astype(np.int64) - 127)
        return (table[codes] * scales[..., None]).reshape(w.shape)
    if w.kind == "q8":
        return w.data.astype(np.float64) * np.repeat(w.scales.astype(np.float64), 32, axis=2)
    if w.kind == "bf16":
        return (w.data.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    return w.data.astype(np.float64)


def kv_layer(k: np.ndarray, v: np.ndarray, kind: str) -> KVLayer:
    """float32 (blocks, heads, 64, D) as the kernels store it; NaN stands for what was never written."""
    blocks, heads, _, d = k.shape
    kv = KVLayer.empty(blocks, heads, d, kind)
    k = np.ascontiguousarray(k.swapaxes(2, 3))
    if kind != "int8":
        kv.k[...], kv.v[...] = (f32_to_bf16(k), f32_to_bf16(v)) if kind == "bf16" else (k, v)
        return kv
    for stored, values, axis in ((kv.k, k, 2), (kv.v, v, 3)):
        scales = bf16_to_f32(f32_to_bf16(np.abs(values).max(axis) / np.float32(127)))  # (blocks, heads, 64)
        with np.errstate(invalid="ignore", divide="ignore"):
            codes = np.rint(values * (np.float32(1) / np.expand_dims(scales, axis)))
        stored[:, :, :d] = np.nan_to_num(codes).astype(np.int8).reshape(blocks, heads, d, 64)
        stored[:, :, d:] = f32_to_bf16(scales).view(np.int8).reshape(blocks, heads, 2, 64)
    return kv


def kv_values(kv: KVLayer) -> tuple[np.ndarray, np.ndarray]:
    """What the cache holds, K and V as float32 (blocks, heads, 64, D)."""
    blocks, heads, rows, _ = kv.k.shape
    if kv.k.dtype != np.int8:
        k, v = (a if a.dtype == np.float32 else bf16_to_f32(a) for a in (kv.k, kv.v))
        return k.swapaxes(2, 3), v
    d = rows - 2

    def scales(stored: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(stored[:, :, d:]).reshape(blocks, heads, 128).view(np.uint16)
        return bf16_to_f32(bits)[..., None]

    k = kv.k[:, :, :d].swapaxes(2, 3) * scales(kv.k)
    v = kv.v[:, :, :d].reshape(blocks, heads, 64, d) * scales(kv.v)
    return k.astype(np.float32), v.astype(np.float32)


def under_every_plan(run: Callable[[], tuple[np.ndarray, ...]]) -> None:
    """`run` gives the same bits under every instruction set, with 1, 2 and 3 threads."""
    cpu.configure("scalar", 1)
    expected = run()
    for isa in cpu.available_isas():
        for threads in (1, 2, 3):
            cpu.configure(isa, threads)
            same_bits(run(), expected, f"{isa}, {threads} threads")


def same_bits(got: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...], where: str = "") -> None:
    for i, (a, b) in enumerate(zip(got, expected, strict=True)):
        nan = (a != a) & (b != b)  # a NaN's payload is not part of the contract
        differ = (a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}")) & ~nan
        assert not differ.any(), f"array {i} differs in {differ.sum()} of {a.size} places: {where}"


@pytest.fixture(scope="session")
def tools() -> SimpleNamespace:
    return SimpleNamespace(
        guarded=guarded,
        shifted=shifted,
        activation=activation,
        matrix=matrix,
        to_float64=to_float64,
        under_every_plan=under_every_plan,
        kv_layer=kv_layer,
        kv_values=kv_values,
        same_bits=same_bits,
    )


@pytest.fixture(autouse=True)
def default_plan() -> Iterator[None]:
    """Each test begins with the best instruction set and one thread."""
    cpu.configure(threads=1)
    yield
    cpu.configure()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
