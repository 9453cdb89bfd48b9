"""Randomness for sampling: one exponential variate per (seed, position, token id).

The generator is a counter, not a state: SplitMix64's output function over a key made of seed and
position plus the token id times the golden gamma. So a request's draw depends on nothing but its own
seed, the position of the token and the model's distribution, however the request was batched, chunked,
preempted or resumed.

Gumbel-max in its exponential form: with E_i independent unit exponentials, argmin E_i / p_i is token i
with probability p_i.
"""

import numpy as np
from numpy.typing import NDArray

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, SplitMix64's gamma
_MIX_1 = 0xBF58476D1CE4E5B9  # Stafford's variant 13 of the 64-bit finaliser, as in SplitMix64
_MIX_2 = 0x94D049BB133111EB
_WORD = (1 << 64) - 1

TAIL_NATS = 8.0
"""Tokens this far below the most likely one are drawn as one lot first (see `draw`)."""

_TAIL_ID = (1 << 32) - 1  # the lot's own counter: no vocabulary reaches it


def _mix_int(x: int) -> int:
    x = ((x ^ (x >> 30)) * _MIX_1) & _WORD
    x = ((x ^ (x >> 27)) * _MIX_2) & _WORD
    return x ^ (x >> 31)


def stream_key(seed: int, position: int) -> int:
    """64-bit key of the stream for one position of one request."""
    return _mix_int((_mix_int((seed + _GOLDEN) & _WORD) + position * _GOLDEN) & _WORD)


def exponentials(key: int, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit exponentials for token ids (n,) → float64 (n,), in (2**-65, 45).

    -log1p(-r) with r = (h + ½)·2⁻⁶⁴: what decides a draw is a small E, and there r keeps all its bits.
    """
    h = ids.astype(np.uint64)
    h += np.uint64(1)
    h *= np.uint64(_GOLDEN)
    h += np.uint64(key)
    h ^= h >> np.uint64(30)
    h *= np.uint64(_MIX_1)
    h ^= h >> np.uint64(27)
    h *= np.uint64(_MIX_2)
    h ^= h >> np.uint64(31)
    r = (h.astype(np.float64) + 0.5) * 2.0**-64
    return -np.log1p(-np.minimum(r, 1.0 - 2.0**-53))


def draw_among(key: int, ids: NDArray[np.int64], p: NDArray[np.float64]) -> int:
    """One of `ids` with probability proportional to `p` > 0; ties go to the first."""
    return int(ids[np.argmin(exponentials(key, ids) / p)])


def draw(key: int, z: NDArray[np.float32], ids: NDArray[np.int64] | None = None) -> int:
    """A token id with probability softmax(z), z float32 (V,) with maximum 0; exact, and fast for wide V.

    `ids`: the ids z is of, where it is not of all: the same draw as over all V with -inf elsewhere.
    Hashing 200,000 ids would cost more than all else in a draw. The minimum of E_i / p_i over a set S is
    itself exponential with rate Σ_S p_i, so the unlikely tail competes as one lot under its own counter, and
    its members are hashed only when the lot wins.
    """
    p = np.exp(z)
    head = np.flatnonzero(z >= -TAIL_NATS)
    p_head = p[head].astype(np.float64)
    p[head] = 0
    tail_mass = float(p.sum(dtype=np.float64))
    e_head = exponentials(key, head if ids is None else ids[head]) / p_head
    best = int(np.argmin(e_head))
    e_tail = float(exponentials(key, np.array([_TAIL_ID]))[0])
    if e_tail >= e_head[best] * tail_mass:
        return int(head[best] if ids is None else ids[head[best]])
    tail = np.flatnonzero(p)
    return draw_among(key, tail if ids is None else ids[tail], p[tail].astype(np.float64))
