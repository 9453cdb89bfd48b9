"""The end of a forward pass: from the last hidden rows to logits or, without ever writing those, to tokens.

`Head` owns what `ops.lm_head` reads and writes, at fixed addresses, so that a step stays one native call:
`ask` writes what every row wants, the transformer's program runs, `answers` reads what came of it. Where a
row wants more than the kernel can do (log-probabilities, top_p, top_k, min_p), `sample` reads its logits.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ossia.errors import InputError
from ossia.kernels.asked import INFINITE, NONE_ALLOWED, NOT_A_NUMBER, Asked, Screen
from ossia.kernels.ops import Program, lm_head
from ossia.kernels.tensors import Activation, Matrix
from ossia.model.sampling import Ask, SamplingParams, Token, no_token_allowed, sample, stream_key

Floats = NDArray[np.float32]
Answer = Token | InputError | Floats
"""A token, the error that ends its request, or the logits (V,) of a row that asked for nothing else."""

_EDITS = 1024  # changed ids there is room for at first
_MOST_MASKS = 256  # rows beyond are those of measurements, which have none


class Head:
    """`weight` (1, V, H) and the buffers for up to `rows` rows at a time; more where more are asked for."""

    def __init__(self, weight: Matrix, screen: Screen | None, rows: int) -> None:
        self.weight = weight
        self._screen = screen
        self._vocab = weight.shape[1]
        self._asked = Asked.empty(rows, rows, self._vocab, _EDITS)
        self._chosen, self._rescored = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
        self._logits = np.zeros((rows, self._vocab), np.float32)

    @property
    def rescored(self) -> NDArray[np.int32]:
        """How many exact logits decided each row of the last step; -1 where all were computed."""
        return self._rescored

    def logits(self, rows: int) -> Floats:
        """Those of the last step's first rows (rows, V), where they were asked for; a view."""
        return self._logits[:rows]

    def record(self, p: Program, hidden: Activation) -> None:
        """Note the product with `hidden` (n, H), and the choice."""
        n = hidden.rows
        out = self._chosen[:n], self._rescored[:n], self._logits[:n]
        lm_head(p, hidden, self.weight, self._asked.head(n), *out, self._screen)

    def ask(self, asks: Sequence[Ask | None]) -> bool:
        """Write what the rows of the next step want, None for their logits.

        True where buffers had to be replaced by larger ones, so that programs must be recorded anew.
        """
        edits = [_edits(ask) for ask in asks]
        grown = self._make_room(len(asks), sum(len(ids) for ids, _, _ in edits))
        q, end = self._asked, 0
        for t, (ask, (ids, bias, counts)) in enumerate(zip(asks, edits, strict=True)):
            begin, end = end, end + len(ids)
            q.edit_ids[begin:end], q.edit_bias[begin:end], q.edit_counts[begin:end] = ids, bias, counts
            q.edit_ends[t] = end
            q.mask_of[t] = -1
            q.whole[t] = ask is None or ask.params.needs_logits
            if ask is not None and not q.whole[t]:
                self._write(t, ask)
        return grown

    def answers(self, asks: Sequence[Ask | None]) -> list[Answer]:
        """What came of the step that `asks` were written for."""
        return [self._answer(t, ask) for t, ask in enumerate(asks)]

    def _write(self, t: int, ask: Ask) -> None:
        q, p = self._asked, ask.params
        q.temperatures[t] = p.temperature
        q.keys[t] = stream_key(ask.seed, ask.position)
        q.penalties[t] = p.repetition_penalty, p.frequency_penalty, p.presence_penalty
        if p.mask is not None:
            if ask.allowed is None:
                p.mask.mask(q.masks[t])
            else:
                q.masks[t] = ask.allowed
            q.mask_of[t] = t

    def _answer(self, t: int, ask: Ask | None) -> Answer:
        if ask is None:
            return self._logits[t]
        try:
            if ask.params.needs_logits:
                return sample(
                    self._logits[t], ask.params, position=ask.position, seed=ask.seed, history=ask.history
                )
            chosen = int(self._chosen[t])
            assert chosen != NOT_A_NUMBER, f"the model computed NaN logits at position {ask.position}"
            assert chosen != INFINITE, f"the model computed an infinite logit at position {ask.position}"
            if chosen == NONE_ALLOWED:
                raise no_token_allowed(ask.position)
        except InputError as error:
            return error
        return Token(chosen)

    def _make_room(self, rows: int, edits: int) -> bool:
        most = self._asked.edit_ids.size
        if rows <= len(self._logits) and edits <= most:
            return False
        if rows > len(self._logits):
            self._logits = np.zeros((rows, self._vocab), np.float32)
            self._chosen, self._rescored = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
        masks = max(len(self._asked.masks), min(rows, _MOST_MASKS))
        self._asked = Asked.empty(len(self._logits), masks, self._vocab, max(most, 2 * edits))
        return True


def _edits(ask: Ask | None) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Ids whose logits change, ascending, what is added to each, and its count in the answer: -1 where the
    penalties do not concern it."""
    none = np.empty(0, np.float32)
    if ask is None or not (ask.params.logit_bias or ask.params.has_penalties) or ask.params.needs_logits:
        return np.empty(0, np.int64), none, none
    return _merged(
        ask.params, *ask.history.arrays() if ask.params.has_penalties else (np.empty(0, np.int64), none)
    )


def _merged(
    params: SamplingParams, seen: NDArray[np.int64], times: Floats
) -> tuple[NDArray[np.int64], Floats, Floats]:
    biased = np.fromiter(params.logit_bias.keys(), np.int64, len(params.logit_bias))
    ids = np.union1d(biased, seen)
    bias, counts = np.zeros(ids.size, np.float32), np.full(ids.size, -1, np.float32)
    bias[np.searchsorted(ids, biased)] = np.fromiter(params.logit_bias.values(), np.float32, biased.size)
    counts[np.searchsorted(ids, seen)] = times
    return ids, bias, counts
