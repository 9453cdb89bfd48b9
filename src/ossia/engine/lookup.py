"""What a sequence will probably say next: what followed when its last tokens stood in it before.

Answers repeat their prompt (code that is edited, text that is quoted, calls made again). Where the last
n tokens (3, 2 or 1) were last seen is kept up to date at the cost of a few table entries a token; whatever is
found is followed for as long as it comes true. Nothing here computes or decides anything: a prediction
is verified by the model, and its odds come from watching all predictions, verified or not.
"""

from collections.abc import Sequence as Row
from collections.abc import Set as AbstractSet
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

LONGEST = 3  # tokens of the longest n-gram in the tables
_ID_BITS = 18  # o200k's ids; larger ones only make worse hashes
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio
_WORD = (1 << 64) - 1
_LEAST_TABLE_BITS = 12

_CLASS = (0, 0, 1, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 5)
"""Class of a match by its length in tokens: 1, 2, 3, up to 7, up to 15, longer."""
_FULL_LENGTH = len(_CLASS) - 1  # longer matches are not told apart

FIRST_ODDS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8)
"""How often a match of each class foretells the next token, before anything was watched."""
_OWN_RATE = 1 / 8  # how fast a sequence's odds follow what is watched
_COMMON_RATE = 1 / 64  # how fast those that the next sequence begins with do


class Lookup:
    """The first `num_tokens` of `token_ids` int32 (capacity,), which the owner goes on writing.

    `source`: the place of a token that foretells the next one, because the `length` tokens before it are
    equal to the last ones (longer matches count as 16); length 0 where there is none.
    """

    def __init__(self, token_ids: NDArray[np.int32], num_tokens: int) -> None:
        assert num_tokens >= 1, "nothing to look up in"
        bits = max(_LEAST_TABLE_BITS, num_tokens.bit_length() + 1)
        self._ids = _view(token_ids)
        self._shift = 64 - bits
        self.num_tokens = num_tokens - 1
        self.source = self.length = 0
        tables = np.zeros((LONGEST, 1 << bits), np.int32)  # where the token after an n-gram stands; 0: unseen
        self._index(token_ids[: num_tokens - 1], tables)
        self._tables = [_view(table) for table in tables]
        self.follow()

    def follow(self) -> bool:
        """Take in the next token of the array; returns whether it was foretold."""
        ids, end = self._ids, self.num_tokens + 1
        foretold = self.length > 0 and ids[self.source] == ids[end - 1]
        seen: list[int] = []
        key = 0
        for n, table in enumerate(self._tables[:end]):
            key |= ids[end - 1 - n] << (_ID_BITS * n)
            slot = (key * _GOLDEN & _WORD) >> self._shift
            if table[slot]:
                seen.append(table[slot])
            table[slot] = end
        self.num_tokens = end
        if foretold and self.length >= LONGEST:  # longer than anything the tables know
            self.source += 1
            self.length = min(self.length + 1, _FULL_LENGTH)
        else:
            self.length = 0
            for place in reversed(seen):
                self._consider(place)
        return foretold

    def draft(self, count: int) -> list[int]:
        """The next `count` tokens, if all goes on as it did."""
        assert self.length, "there is nothing to go by"
        ahead = self._ids[self.source : min(self.source + count, self.num_tokens)].tolist()
        period = self.num_tokens - self.source
        while len(ahead) < count:  # it repeats what it has just said
            ahead.append(ahead[-period])
        return ahead

    def _consider(self, place: int) -> None:
        """Take `place` as the source, if the tokens before it match for longer than those of the present."""
        ids, end, n = self._ids, self.num_tokens, 0
        while n < _FULL_LENGTH and n < place and ids[place - 1 - n] == ids[end - 1 - n]:
            n += 1
        if n > self.length:  # a slot may be another n-gram's, so n can be less than it promises
            self.source, self.length = place, n

    def _index(self, ids: NDArray[np.int32], tables: NDArray[np.int32]) -> None:
        """What `follow` would write for these tokens, all at once: of equal slots the last one stays."""
        keys = np.zeros(ids.size, np.uint64)
        for n, table in enumerate(tables):
            before = ids[: ids.size - n].astype(np.uint64) << np.uint64(_ID_BITS * n)
            keys[n:] |= before
            table[(keys[n:] * np.uint64(_GOLDEN)) >> np.uint64(self._shift)] = np.arange(n + 1, ids.size + 1)


def _view(array: NDArray[np.int32]) -> "memoryview[int]":
    """The same memory; reading one element of it takes a third of the time."""
    return memoryview(cast(Any, array))


def agreeing(draft: Row[int], tokens: Row[int]) -> int:
    """How many tokens `draft` and `tokens` begin with alike."""
    agreed = 0
    while agreed < min(len(draft), len(tokens)) and draft[agreed] == tokens[agreed]:
        agreed += 1
    return agreed


class Drafter:
    """One sequence's lookup, and how often it was right lately; `common` odds are the engine's, shared."""

    def __init__(self, token_ids: NDArray[np.int32], num_tokens: int, common: list[float]) -> None:
        self._lookup = Lookup(token_ids, num_tokens)
        self._common = common
        self._odds = common.copy()

    def follow(self) -> None:
        """Take in one more token, and note whether it was foretold."""
        length = self._lookup.length
        foretold = self._lookup.follow()
        if length:
            kind = _CLASS[length]
            self._odds[kind] += _OWN_RATE * (foretold - self._odds[kind])
            self._common[kind] += _COMMON_RATE * (foretold - self._common[kind])

    def odds(self, limit: int, least: float) -> list[float]:
        """For up to `limit` next tokens the probability that all of a draft up to there comes true, as far as
        that is at least `least`."""
        length = self._lookup.length
        odds: list[float] = []
        so_far = 1.0
        for ahead in range(limit if length else 0):
            so_far *= self._odds[_CLASS[min(length + ahead, _FULL_LENGTH)]]
            if so_far < least:
                break
            odds.append(so_far)
        return odds

    def draft(self, count: int, stop_ids: AbstractSet[int]) -> tuple[int, ...]:
        """Up to `count` next tokens, none from the first stop id on: nothing is sampled behind that."""
        ids = self._lookup.draft(count)
        stops = [i for i, token in enumerate(ids) if token in stop_ids]
        return tuple(ids[: stops[0]] if stops else ids)
