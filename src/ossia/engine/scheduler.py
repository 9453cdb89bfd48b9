"""Who computes what in the next step.

One budget of tokens a step is shared by all running sequences, decoding or prefilling: everyone gets a
token, then what is left is dealt evenly among those that can use more. Waiting sequences enter in the
order they came, but for those whose beginning somebody is just computing: they wait for it and share it.
When blocks run out the youngest running sequence gives its own back and waits at the
front; the oldest is never stopped for another, so somebody always finishes.

How tokens are cut into chunks never changes a result (the numeric contract), so this file is free to
choose, and knows nothing of logits, sampling or finish reasons.
"""

from bisect import insort
from collections.abc import Sequence as Row
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossia.engine.paging import Paging
from ossia.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """`count` tokens of `sequence`, from `start`, to be computed in this step, and behind them those of a
    draft that is only guessed. `allowed`, where the sequence has a mask and a draft: what the mask writes
    behind the last known token and behind each drafted one, uint8 (V,)."""

    sequence: Sequence
    start: int
    count: int
    draft: tuple[int, ...] = ()
    allowed: tuple[NDArray[np.uint8], ...] = ()

    @property
    def completes(self) -> bool:
        """Whether nothing known is left to compute behind it: the next token can be sampled."""
        return self.start + self.count == self.sequence.num_tokens


def shares(pending: Row[int], budget: int, cap: int) -> list[int]:
    """Deal `budget` tokens: each gets at most what is `pending` and `cap`, and nobody less than another
    that asked for as much or less. With budget ≥ len(pending) everyone with pending ≥ 1 gets one."""
    dealt = [0] * len(pending)
    left = budget
    order = sorted(range(len(pending)), key=pending.__getitem__)
    for rank, i in enumerate(order):
        dealt[i] = min(pending[i], cap, left // (len(order) - rank))
        left -= dealt[i]
    return dealt


class Scheduler:
    """Queues of sequences over one `Paging`. `max_chunk`: most tokens of one sequence in a step."""

    def __init__(self, paging: Paging, *, max_batch_tokens: int, max_sequences: int, max_chunk: int) -> None:
        assert max_batch_tokens >= max_sequences >= 1, "the budget must give every running sequence a token"
        self._paging = paging
        self._max_batch_tokens = max_batch_tokens
        self._max_sequences = max_sequences
        self._max_chunk = max_chunk
        self._hold = False  # nobody enters before somebody leaves: there is no room
        self.waiting: list[Sequence] = []  # both oldest first
        self.running: list[Sequence] = []
        self.preemptions = 0

    def add(self, sequence: Sequence) -> None:
        """Queue a new sequence."""
        self.waiting.append(sequence)

    def schedule(self) -> list[Chunk]:
        """The next step's work; empty only where nothing waits or runs."""
        self._admit()
        dealt = shares([s.pending for s in self.running], self._max_batch_tokens, self._max_chunk)
        chunks: list[Chunk] = []
        for sequence, want in zip(list(self.running), dealt, strict=True):
            if sequence.status == "running" and (count := self._reserve(sequence, want)):
                chunks.append(Chunk(sequence, sequence.num_computed, count))
        assert chunks or not (self.running or self.waiting), "sequences are left, but none can go on"
        return chunks

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and give back its blocks."""
        if sequence.status == "running":
            self.running.remove(sequence)
            self._paging.release(sequence)
            self._hold = False
        elif sequence.status == "waiting":
            self.waiting.remove(sequence)
        sequence.status = "finished"

    def preempt(self, sequence: Sequence) -> None:
        """Take a running sequence's blocks; it is computed again when it is its turn."""
        self.running.remove(sequence)
        self._paging.release(sequence)
        sequence.status = "waiting"
        sequence.preemptions += 1
        self.preemptions += 1
        insort(self.waiting, sequence, key=_arrival)
        self._hold = True

    def _admit(self) -> None:
        for sequence in list(self.waiting):
            if len(self.running) == self._max_sequences or (self._hold and self.running):
                return
            if self._paging.worth_waiting(sequence, self.running):
                continue
            cached = self._paging.resume(sequence)
            # Everyone running should be able to grow by a block, or the newcomer is soon sent back.
            if self.running and not self._paging.has_room(sequence, spare=len(self.running)):
                self._paging.release(sequence)
                self._hold = True
                return
            if not sequence.admitted:
                sequence.cached_tokens = min(cached, sequence.num_prompt)
                sequence.admitted = True
            sequence.status = "running"
            self.waiting.remove(sequence)
            insort(self.running, sequence, key=_arrival)

    def _reserve(self, sequence: Sequence, want: int) -> int:
        """Blocks for up to `want` tokens, younger sequences giving way; 0 if this one had to."""
        while not (count := self._paging.reserve(sequence, want)):
            youngest = self.running[-1]
            assert youngest is not self.running[0], "a sequence alone must fit: submit has checked it"
            self.preempt(youngest)
            if youngest is sequence:
                return 0
        return count


def _arrival(sequence: Sequence) -> int:
    return sequence.arrival
