"""Which sequences get how long a draft, so that a step brings more than its rows cost.

A draft is a guess at a sequence's next tokens (`lookup`), computed behind its known ones in the same step;
the engine keeps as much of it as it would have sampled anyway, so drafts never change a token. Rows beyond
the first cost less than a step of their own, but not nothing: how much is measured while the engine runs, for
every number of rows, and a draft is made where the expected tokens per second rise.
"""

from bisect import bisect_left
from collections.abc import Sequence as Row
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ossia.engine.lookup import FIRST_ODDS, Drafter
from ossia.engine.paging import Paging
from ossia.engine.scheduler import Chunk
from ossia.engine.sequence import Sequence
from ossia.model.sampling import TokenMask

LONGEST_DRAFT = 7
"""Tokens: with the known one a step of eight rows, what the kernels take in one tile."""

_LEAST_ODDS = 0.25  # a token less likely than this is not computed, whatever it costs
_LEAST_GAIN = 1.03  # expected tokens per second with drafts over those without
_COST_RATE = 0.2  # how fast a cost follows what is measured
_HICCUP = 1.5  # a step that took so many times what it used to was disturbed, and counts only as so much
_STEPS_BETWEEN_PROBES = 256  # where drafts would come true but did not pay: measure again whether they do


def obeying(chunk: Chunk, vocab_size: int) -> Chunk:
    """`chunk` with as much of its draft as its sequence's mask allows, and what it writes behind each id."""
    mask = chunk.sequence.params.mask
    if mask is None or not chunk.draft:
        return chunk
    allowed = [_written(mask, vocab_size)]
    ahead = 0
    for token in chunk.draft:
        if not allowed[-1][token]:
            break
        mask.advance([token])
        ahead += 1
        if mask.finished:  # nothing is sampled behind it
            break
        allowed.append(_written(mask, vocab_size))
    mask.rollback(ahead)
    draft = chunk.draft[: len(allowed) - 1]
    return replace(chunk, draft=draft, allowed=tuple(allowed))


def _written(mask: TokenMask, vocab_size: int) -> NDArray[np.uint8]:
    out = np.empty(vocab_size, np.uint8)
    mask.mask(out)
    return out


class StepCosts:
    """Seconds that a step of n rows takes, as measured lately."""

    def __init__(self) -> None:
        self._sizes: list[int] = []  # those measured, ascending
        self._seconds: dict[int, float] = {}
        self._begun: set[int] = set()

    def note(self, rows: int, seconds: float) -> None:
        """A step of `rows` took `seconds`. A size's first one does not count: it also prepares itself."""
        if rows not in self._begun:
            self._begun.add(rows)
        elif rows in self._seconds:
            before = self._seconds[rows]
            self._seconds[rows] += _COST_RATE * (min(seconds, _HICCUP * before) - before)
        else:
            self._sizes.insert(bisect_left(self._sizes, rows), rows)
            self._seconds[rows] = seconds

    def known(self, rows: int) -> bool:
        """Whether a step of `rows` was measured."""
        return rows in self._seconds

    def seconds(self, rows: int) -> float:
        """What a step of `rows` takes: measured, or between those measured around it; beyond the largest
        measured, hopefully no more than that one (trying it will tell)."""
        sizes, at = self._sizes, bisect_left(self._sizes, rows)
        assert sizes, "no step was measured yet"
        above, below = sizes[min(at, len(sizes) - 1)], sizes[max(at - 1, 0)]
        if at == len(sizes) or at == 0:
            return self._seconds[above]
        low, high = self._seconds[below], self._seconds[above]
        return low + (high - low) * (rows - below) / (above - below)


class Speculation:
    """Drafts for all sequences of one engine, in steps of at most `max_batch_tokens`.

    `drafted` and `accepted` count tokens; how many are accepted the engine says.
    """

    def __init__(self, vocab_size: int, max_batch_tokens: int) -> None:
        self._vocab_size = vocab_size
        self._max_batch_tokens = max_batch_tokens
        self.costs = StepCosts()
        self.drafted = 0
        self.accepted = 0
        self._common_odds = list(FIRST_ODDS)
        self._steps_since_draft = 0

    def watch(self, sequence: Sequence) -> None:
        """Give a new sequence what its drafts will come from."""
        sequence.drafter = Drafter(sequence.token_ids, sequence.num_tokens, self._common_odds)

    def draft(self, chunks: list[Chunk], paging: Paging) -> list[Chunk]:
        """The step's `chunks`, those with drafts that pay and that the sequences' masks allow."""
        budget = self._max_batch_tokens - sum(chunk.count for chunk in chunks)
        chunks = [obeying(chunk, self._vocab_size) for chunk in self.extend(chunks, budget, paging)]
        self.drafted += sum(len(chunk.draft) for chunk in chunks)
        return chunks

    def extend(self, chunks: list[Chunk], budget: int, paging: Paging) -> list[Chunk]:
        """`chunks` with drafts behind those that complete their sequence, of `budget` tokens together.
        Takes no block that somebody holds or that the prefix cache keeps."""
        self._steps_since_draft += 1
        odds = [self._odds(chunk) for chunk in chunks]
        if not any(odds):
            return chunks
        counts = self._choose(chunks, odds, budget)
        if not any(counts):
            return chunks
        self._steps_since_draft = 0
        return [self._with_draft(c, k, paging) if k else c for c, k in zip(chunks, counts, strict=True)]

    def note(self, chunks: Row[Chunk], seconds: float) -> None:
        """What the step of `chunks` took. Steps that compute prompts say nothing of others."""
        if all(chunk.completes and chunk.count == 1 for chunk in chunks):
            self.costs.note(sum(1 + len(chunk.draft) for chunk in chunks), seconds)

    def _odds(self, chunk: Chunk) -> list[float]:
        sequence = chunk.sequence
        if not chunk.completes or sequence.drafter is None:
            return []
        # The last token is sampled behind the draft, and nothing comes behind it.
        room = sequence.capacity - sequence.num_tokens - 1
        return sequence.drafter.odds(min(LONGEST_DRAFT, room), _LEAST_ODDS)

    def _choose(self, chunks: Row[Chunk], odds: list[list[float]], budget: int) -> list[int]:
        """How many tokens to draft for each chunk: the likeliest, as many as bring the most per second."""
        likeliest = sorted(((p, i) for i, row in enumerate(odds) for p in row), reverse=True)[:budget]
        known = sum(chunk.count for chunk in chunks)
        expected = float(sum(chunk.completes for chunk in chunks))
        prompts = known > len(chunks)
        if not prompts and not self.costs.known(known):
            return [0] * len(chunks)
        one = 1.0 if prompts else self.costs.seconds(known)
        best, taken = _LEAST_GAIN * expected / one, 0
        for rows, (p, _) in enumerate(likeliest, 1):
            expected += p
            # Beside a prompt every row takes its share of the step.
            took = (known + rows) / known if prompts else self.costs.seconds(known + rows)
            if expected / took > best:
                best, taken = expected / took, rows
        if not taken and self._steps_since_draft >= _STEPS_BETWEEN_PROBES:
            taken = len(likeliest)
        counts = [0] * len(chunks)
        for _, i in likeliest[:taken]:
            counts[i] += 1
        return counts

    def _with_draft(self, chunk: Chunk, count: int, paging: Paging) -> Chunk:
        sequence = chunk.sequence
        assert sequence.drafter is not None, "a draft for a sequence that nobody watches"
        count = paging.room_behind(sequence, chunk.count, count)
        draft = sequence.drafter.draft(count, sequence.params.stop_ids) if count else ()
        return replace(chunk, draft=draft)
