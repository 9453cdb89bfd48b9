"""When a model says the same again and again: a watch over sampled ids, one by one.

It knows ids only, no text, and finds exact repetition with a fixed period; a loop that counts, or varies a
word, is not seen. What it must not do is end an answer that is meant so: zeros in an array, a ruler, a
refrain, the same line of code ten times. So it waits long, and longest where the repeated stretch is
made of few different tokens, as data is.

Cost: one tuple, one hash and one dictionary entry per token, whatever the period.
"""

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_PERIOD = 512
"""Tokens; a longer stretch would have to be repeated for thousands of tokens before it counted."""

_GRAM = 12  # tokens that must be alike before a period is considered
_LEAST_REPEATS = 5  # of any period: a refrain or a template may come four times in a row

# Tokens that must repeat, by what is repeated. One token alone: a ruler of 500 dashes takes 8 to 70 tokens, a
# kilobyte of zeros in base64 at most 170. Few different ones (at most 8: brackets, commas, digits, a
# newline): an image of 28 × 28 zeros is 2,350 tokens as JSON. More than that is prose or code,
# which a person repeats for a page (40 lines of 12 tokens make 480), hardly for three.
_ONE, _FEW, _MANY = 512, 2560, 1024
_FEW_KINDS = 8


@dataclass(frozen=True, slots=True)
class Loop:
    """The last `tokens` ids repeat those `period` before them."""

    period: int
    tokens: int


class RepetitionWatch:
    """Feed the sampled ids in order; `feed` returns a `Loop` once they have repeated for too long."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._period = 0  # the one under suspicion; 0 for none
        self._run = 0  # ids that were as one period before, up to now
        self._recent: dict[int, int] = {}  # where a gram last ended, by its hash
        self._older: dict[int, int] = {}
        self._limit = 0  # of the run, for the period under suspicion

    def feed(self, token_id: int) -> Loop | None:
        """Take one id; not to be called again once it has returned a Loop."""
        ids = self._ids
        ids.append(token_id)
        if len(ids) < _GRAM:
            return None
        seen = self._last_seen(hash(tuple(ids[-_GRAM:])), len(ids))
        if self._period and token_id == ids[-1 - self._period]:
            self._run += 1
        else:
            self._suspect(len(ids) - seen if seen else 0)
        if self._period and self._run >= self._limit:
            return Loop(self._period, self._run)
        return None

    def _last_seen(self, gram: int, end: int) -> int:
        """Where `gram` ended before, 0 if not lately; remembers that it ends at `end` now."""
        seen = self._recent.get(gram) or self._older.get(gram, 0)
        self._recent[gram] = end
        if len(self._recent) > LONGEST_PERIOD:  # two generations: nothing within reach is forgotten
            self._recent, self._older = {}, self._recent
        return seen

    def _suspect(self, period: int) -> None:
        """Begin to count with another period; a hash may deceive, so the ids themselves are compared."""
        ids = self._ids
        alike = 0 < period <= LONGEST_PERIOD and ids[-_GRAM:] == ids[-_GRAM - period : -period]
        self._period, self._run = (period, _GRAM) if alike else (0, 0)
        if alike:
            self._limit = run_limit(ids[-period:])


def run_limit(stretch: Sequence[int]) -> int:
    """How many tokens may repeat `stretch` before it counts as a loop."""
    kinds = len(set(stretch))
    least = _ONE if kinds == 1 else _FEW if kinds <= _FEW_KINDS else _MANY
    return max(least, _LEAST_REPEATS * len(stretch))
