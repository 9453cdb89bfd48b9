"""Random contents of a checkpoint's tensors, in pieces that can be made in any order and on any thread.

A piece's bytes depend on the seed, the tensor's name and the piece's number alone, so a checkpoint that is
made twice is the same twice, whatever was interrupted. Sizes are sane rather than trained: a unit vector
stays of the order of one through every matrix, so nothing overflows and no layer dies out.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ossia.kernels.tensors import f32_to_bf16
from ossia.model.checkpoint.layouts import Place

Routing = Literal["uniform", "zipf"]

PIECE_BYTES = 8 << 20
_MXFP4_SCALES = (118, 122)  # 2^-9 to 2^-6: with values of rms 2.9, weights of rms about 0.018
_ROUTER_BIAS = "mlp.router.bias"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the bytes depend on besides the shape."""

    seed: int = 0
    routing: Routing = "uniform"


def piece_count(size_bytes: int) -> int:
    """Pieces of a tensor of so many bytes."""
    return -(-size_bytes // PIECE_BYTES)


def piece(place: Place, dtype: str, size_bytes: int, index: int, recipe: Recipe) -> NDArray[np.uint8]:
    """Bytes `index` · PIECE_BYTES and following of a tensor of `dtype` BF16 or U8 and `size_bytes`."""
    count = min(PIECE_BYTES, size_bytes - index * PIECE_BYTES)
    source = _generator(recipe.seed, place.stored, index)
    raw = source.random_raw(-(-count // 8)).view(np.uint8)[:count]
    if place.stored.endswith("_scales"):
        low, high = _MXFP4_SCALES
        return (raw & np.uint8(high - low - 1)) + np.uint8(low)
    if dtype == "U8":
        return raw
    if place.stored.endswith(_ROUTER_BIAS) and recipe.routing == "zipf":
        return zipf_bias(place, recipe.seed).view(np.uint8)
    mean, deviation = _distribution(place.stored)
    return _normal_table(mean, deviation)[raw.view(np.uint16)].view(np.uint8)


def zipf_bias(place: Place, seed: int) -> NDArray[np.uint16]:
    """Router biases, bf16 (E,): −log rank, so that an expert's share falls about as one over its rank.

    Every layer has an order of its own.
    """
    experts = place.shape[0]
    order = np.random.Generator(_generator(seed, place.stored, 0)).permutation(experts)
    return f32_to_bf16(-np.log1p(order).astype(np.float32))


def _distribution(name: str) -> tuple[float, float]:
    """(mean, standard deviation) of a bf16 tensor."""
    if name.endswith("norm.weight"):
        return 1.0, 0.02
    if name.endswith(("embed_tokens.weight", "sinks")):
        return 0.0, 1.0  # tokens must differ, or all would be routed alike
    return 0.0, 0.02


@lru_cache(maxsize=8)
def _normal_table(mean: float, deviation: float) -> NDArray[np.uint16]:
    """All 65,536 equally likely values, bf16: 16 random bits are an index, which is much faster than a normal
    generator."""
    normal = NormalDist(mean, deviation)
    values = [normal.inv_cdf((i + 0.5) / 65536) for i in range(65536)]
    return f32_to_bf16(np.array(values, np.float32))


def _generator(seed: int, name: str, index: int) -> np.random.SFC64:
    digest = hashlib.blake2b(f"{seed} {name} {index}".encode(), digest_size=24).digest()
    return np.random.SFC64(np.frombuffer(digest, np.uint32))
