"""From logits to the next token.

Order of operations (vLLM's, so that a request means the same there and here):

1. log-probabilities, if asked for: log-softmax of the *raw* logits, before anything below;
2. the grammar's mask;
3. logit bias;
4. repetition penalty over prompt and answer (a positive logit is divided, a negative one multiplied),
   then frequency (times the count) and presence penalty over the answer only;
5. temperature 0: the largest logit, ties to the lower id. Otherwise divide by the temperature, then
6. min_p (relative to the most likely token), 7. top_k (ties to the lower id), 8. top_p (the smallest
   set of most likely tokens that reaches it), 9. Gumbel-max: of what these left, the largest of logit +
   temperature · noise, ties to the lower id.

The noise is a counter, not a state: one variate per (seed, position, token id). So a draw depends on nothing
but the request's own seed, the position and the model's distribution, however the request was batched,
chunked, preempted or resumed, and a token that top_p leaves is drawn as it would be without.

`sample` does all of it for a row of logits. Steps 2 to 5 and 9 are also `ops.lm_head`'s, bit for bit, which
needs no logits for them (model/head.py).

What this file does not do: count tokens, recognise stop ids, or know what an id means. The engine does
the first two, nobody in this tower the third.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ossia.errors import InputError
from ossia.kernels.ops import Program, gumbel

Finish = Literal["stop", "length", "cancelled"]
MAX_LOGPROBS = 128

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio, SplitMix64's gamma
_MIX_1 = 0xBF58476D1CE4E5B9  # Stafford's variant 13 of the 64-bit finaliser, as in SplitMix64
_MIX_2 = 0x94D049BB133111EB
_WORD = (1 << 64) - 1


class TokenMask(Protocol):
    """A grammar, seen from the numbers: which ids may come next. One per request, with state."""

    @property
    def finished(self) -> bool:
        """Nothing may follow."""
        ...

    def mask(self, out: NDArray[np.uint8]) -> None:
        """Write 1 for every allowed id and 0 elsewhere; out (V,)."""
        ...

    def advance(self, ids: Sequence[int]) -> None:
        """Accept these ids."""
        ...

    def forced(self) -> list[int]:
        """The ids that must come next whatever the model says; empty where there is a choice."""
        ...

    def rollback(self, n: int) -> None:
        """Forget the last n accepted ids."""
        ...


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one request is sampled; raises InputError for a value outside its range.

    `logprobs`: None for none, n for the chosen token's and those of the n most likely ones. `seed` None lets
    the engine draw one per request. `boundary_ids`: after these the engine keeps a prefix snapshot.
    `progress`: whether `PromptProgress` comes before the first token, where the backend can say it.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    seed: int | None = None
    logprobs: int | None = None
    stop_ids: frozenset[int] = frozenset()
    boundary_ids: frozenset[int] = frozenset()
    mask: TokenMask | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            _in_range("max_tokens", self.max_tokens, 1, math.inf)
        _in_range("temperature", self.temperature, 0, 100)
        _in_range("top_p", self.top_p, 0, 1, open_low=True)
        _in_range("top_k", self.top_k, 0, math.inf)
        _in_range("min_p", self.min_p, 0, 1)
        _in_range("repetition_penalty", self.repetition_penalty, 0, 100, open_low=True)
        _in_range("presence_penalty", self.presence_penalty, -2, 2)
        _in_range("frequency_penalty", self.frequency_penalty, -2, 2)
        if self.logprobs is not None:
            _in_range("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        for token, bias in self.logit_bias.items():
            _in_range("logit_bias token id", token, 0, math.inf)
            _in_range(f"logit_bias[{token}]", bias, -100, 100)

    @property
    def has_penalties(self) -> bool:
        """Whether sampling needs to know the tokens so far."""
        return (self.repetition_penalty, self.presence_penalty, self.frequency_penalty) != (1.0, 0.0, 0.0)

    @property
    def needs_logits(self) -> bool:
        """Whether choosing takes more than the largest of logits that were changed one by one."""
        cut = self.top_p < 1 or self.top_k > 0 or self.min_p > 0
        return self.logprobs is not None or (cut and self.temperature > 0)

    def check_vocabulary(self, vocab_size: int) -> None:
        """Raise InputError where an id in `logit_bias` is not in the vocabulary."""
        for token in self.logit_bias:
            _in_range("logit_bias token id", token, 0, vocab_size - 1)


@dataclass(frozen=True, slots=True)
class Token:
    """One sampled token. `logprob` and `top` are of the model's raw distribution; `cached`, on one of
    a request's tokens, counts the prompt tokens taken from the prefix cache."""

    id: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finish: Finish | None = None
    cached: int = 0


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """Of a prompt of `total` tokens, `done` have been read or were in the prefix cache."""

    done: int
    total: int


class TokenHistory:
    """The ids a request has seen, for the penalties: prompt ids once, answer ids counted."""

    def __init__(self, prompt_ids: Iterable[int] = (), generated_ids: Iterable[int] = ()) -> None:
        self._seen = dict.fromkeys(prompt_ids, 0)  # id → times in the answer
        for token in generated_ids:
            self.append(token)

    def append(self, token: int) -> None:
        """Count one more id of the answer."""
        self._seen[token] = self._seen.get(token, 0) + 1

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Distinct ids (n,) and how often each stands in the answer (n,)."""
        n = len(self._seen)
        ids = np.fromiter(self._seen.keys(), np.int64, n)
        return ids, np.fromiter(self._seen.values(), np.float32, n)


_NO_HISTORY = TokenHistory()


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted behind one row of a forward pass: the token at absolute `position`, as `params` say.

    `history` is read only where `params.has_penalties`. `allowed` uint8 (V,): what the mask writes there, if
    it has been asked already.
    """

    params: SamplingParams
    position: int
    seed: int
    history: TokenHistory = _NO_HISTORY
    allowed: NDArray[np.uint8] | None = None


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * _MIX_1) & _WORD
    x = ((x ^ (x >> 27)) * _MIX_2) & _WORD
    return x ^ (x >> 31)


def stream_key(seed: int, position: int) -> int:
    """64-bit key of the noise for one position of one request."""
    return _mix((_mix((seed + _GOLDEN) & _WORD) + position * _GOLDEN) & _WORD)


def gumbel_noise(key: int, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Standard Gumbel variates for token ids (n,); adding them to logits makes the largest a draw."""
    out = np.empty(ids.size, np.float32)
    p = Program()
    gumbel(p, key, ids, out)
    p.run()
    return out


def no_token_allowed(position: int) -> InputError:
    """A grammar's dead end."""
    return InputError(
        f"the grammar allows no token at position {position}",
        value=position,
        remedy="Its rules contradict each other, or the stop ids are not part of it.",
    )


def sample(
    logits: NDArray[np.float32],
    params: SamplingParams,
    *,
    position: int,
    seed: int,
    history: TokenHistory = _NO_HISTORY,
) -> Token:
    """Choose the token at absolute `position` from logits (V,), which are left as they are.

    The result is a function of the arguments alone. `history` is read only where `params.has_penalties`.
    Raises InputError where the mask allows no token.
    """
    assert not math.isnan(top := float(logits.max())), f"the model computed NaN logits at position {position}"
    assert top < math.inf, f"the model computed an infinite logit at position {position}"
    adjusted, ids = _adjust(logits, params, history)
    best = int(adjusted.argmax() if ids is None or not ids.size else ids[adjusted[ids].argmax()])
    if adjusted[best] == -math.inf:
        raise no_token_allowed(position)
    key = stream_key(seed, position)
    chosen = best if params.temperature == 0 else _draw(adjusted, ids, best, params, key)
    if params.logprobs is None:
        return Token(chosen)
    logprob, alternatives = log_probabilities(logits, chosen, params.logprobs)
    return Token(chosen, logprob, alternatives)


def log_probabilities(
    logits: NDArray[np.float32], chosen: int, n: int
) -> tuple[float, tuple[tuple[int, float], ...]]:
    """log-softmax of `logits` (V,) at `chosen`, and the n most likely ids with theirs, likeliest first."""
    top = float(logits.max())
    norm = top + math.log(float(np.exp(logits - np.float32(top)).sum(dtype=np.float64)))
    ids = _largest(logits, min(n, logits.size)) if n else np.empty(0, np.int64)
    return float(logits[chosen]) - norm, tuple((int(i), float(logits[i]) - norm) for i in ids)


def _adjust(
    logits: NDArray[np.float32], params: SamplingParams, history: TokenHistory
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Logits (V,) after mask, bias and penalties; and the ids, ascending, outside which all are -inf, where
    a mask leaves few. None for all of them."""
    if params.mask is None and not params.logit_bias and not params.has_penalties:
        return logits, None
    x, kept = (logits.copy(), None) if params.mask is None else _allowed_only(logits, params.mask)
    for token, bias in params.logit_bias.items():
        x[token] += np.float32(bias)
    if params.has_penalties:
        ids, counts = history.arrays()
        at = x[ids]
        penalty = np.float32(params.repetition_penalty)
        at = np.where(at > 0, at / penalty, at * penalty)
        at -= np.float32(params.frequency_penalty) * counts
        at -= np.float32(params.presence_penalty) * (counts > 0)
        x[ids] = at
    return x, kept


def _allowed_only(
    logits: NDArray[np.float32], mask: TokenMask
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """A copy of `logits` (V,), -inf where `mask` forbids, and the allowed ids if they are the smaller side.

    Masks are nearly full (inside free text) or nearly empty (inside JSON), so touching the smaller side costs
    a fraction of a pass with a condition over all of V.
    """
    written = np.empty(logits.size, np.uint8)
    mask.mask(written)
    allowed = written.view(np.bool_)
    if 2 * int(np.count_nonzero(allowed)) > logits.size:
        x = logits.copy()
        x[np.flatnonzero(~allowed)] = -np.inf
        return x, None
    x = np.full_like(logits, -np.inf)
    kept = np.flatnonzero(allowed)
    x[kept] = logits[kept]
    return x, kept


def _draw(
    x: NDArray[np.float32], ids: NDArray[np.int64] | None, best: int, params: SamplingParams, key: int
) -> int:
    """One of `ids` (None for all); the others are -inf, so leaving them out changes nothing but the time."""
    ids = np.arange(x.size) if ids is None else ids
    if params.top_p < 1 or 0 < params.top_k < x.size or params.min_p > 0:
        ids = np.sort(ids[_shortlist(_scaled(x[ids], x[best], params), params)[0]])
    scores = x[ids] + np.float32(params.temperature) * gumbel_noise(key, ids)
    return int(ids[scores.argmax()])


def candidates(
    logits: NDArray[np.float32], params: SamplingParams, history: TokenHistory = _NO_HISTORY
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """What `sample` draws from at a temperature above 0: ids, likeliest first, and probabilities."""
    x, _ = _adjust(logits, params, history)
    ids, p = _shortlist(_scaled(x, x.max(), params), params)
    return ids, p / p.sum()


def _scaled(x: NDArray[np.float32], best: np.float32, params: SamplingParams) -> NDArray[np.float32]:
    """Logits over the temperature, 0 at the largest and -inf below min_p."""
    with np.errstate(over="ignore"):  # tiny temperatures: only towards -inf, since x - max comes first
        z = (x - best) / np.float32(max(params.temperature, 1e-30))
    if params.min_p > 0:
        z[z < np.float32(math.log(params.min_p))] = -np.inf
    return z


def _shortlist(
    z: NDArray[np.float32], params: SamplingParams
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ids that top_k and top_p leave, likeliest first, with weights (not summing to 1)."""
    if 0 < params.top_k < z.size:
        ids = _largest(z, params.top_k)
        needed = params.top_p * float(np.exp(z[ids]).sum(dtype=np.float64))
    else:
        needed = params.top_p * float(np.exp(z).sum(dtype=np.float64))
        ids = _down_to_mass(z, needed)
    p = np.exp(z[ids]).astype(np.float64)
    if params.top_p < 1:
        p = p[: int(np.searchsorted(np.cumsum(p), needed)) + 1]
    p = p[p > 0]  # sorted, so these are the first
    return ids[: p.size], p


def _largest(x: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Ids of the k largest, largest first; ties to the lower id."""
    kth = np.partition(x, x.size - k)[x.size - k]
    above = np.flatnonzero(x > kth)
    ids = np.concatenate([above, np.flatnonzero(x == kth)[: k - above.size]])
    ids.sort()
    return ids[np.argsort(-x[ids], kind="stable")]


def _down_to_mass(z: NDArray[np.float32], mass: float) -> NDArray[np.int64]:
    """Ids, likeliest first, of enough of the distribution to hold `mass` of it (sorting all V is slow)."""
    ids = np.empty(0, np.int64)
    for depth in (2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 200.0):  # float32's exp is 0 beyond 104
        ids = np.flatnonzero(z >= -depth)
        if float(np.exp(z[ids]).sum(dtype=np.float64)) > mass * (1 + 1e-6):
            break
    return ids[np.argsort(-z[ids], kind="stable")]


def _in_range(name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    if low <= value <= high and not (open_low and value == low):  # False for NaN too
        return
    limit = f"{'above' if open_low else 'from'} {low:g}" + ("" if high == math.inf else f" to {high:g}")
    raise InputError(
        f"{name} is {value!r}, but must be {limit}",
        value=value,
        limit=(low, high),
        remedy=f"Choose a {name} {limit}.",
    )
