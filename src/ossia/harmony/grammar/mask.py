"""The token mask of one sampling step: the frame's grammar, message after message, and the reasoning limit.

Satisfies the engine's TokenMask protocol by its shape alone. Never raises in the engine's thread: where the
native matcher fails, everything is allowed from then on and `failure` says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import llguidance
import numpy as np
from numpy.typing import NDArray

from ossia.harmony.grammar.frame import Phase
from ossia.harmony.render import answer_after_thought, assistant_opening
from ossia.tokenizer.base import Tokenizer

MatcherOf = Callable[[Phase], llguidance.LLMatcher]


@dataclass(slots=True)
class _Message:
    """A message under way. `lead` are the ids that must come first (what closes the message before, and
    ``<|start|>assistant``); then `matcher` decides, None where anything goes."""

    start: int  # index of its first id among those accepted
    lead: tuple[int, ...]
    matcher: llguidance.LLMatcher | None
    may_reason: bool
    reasoned: int  # tokens of analysis in the messages before it
    closes: bool = False  # the message before it was closed by the limit
    body: int | None = None  # index of the first id of its body
    is_reasoning: bool = False


class FrameMask:
    """Says which ids may come next after a prompt that ended in ``<|start|>assistant``.

    `max_reasoning_tokens` is counted over the bodies of this step's analysis messages. At the limit, or
    after `answer_now`, analysis is closed and the header of the answer forced: the final's, or the call's
    where a call is required. A call, a preamble or a final under way goes on; no new analysis begins.
    """

    def __init__(
        self, tok: Tokenizer, matcher_of: MatcherOf | None, max_reasoning_tokens: int | None
    ) -> None:
        self._tok = tok
        self._marks = tok.markers
        self._stop_ids = tok.markers.stop_ids
        self._size = tok.vocab_size
        self._opening = tuple(assistant_opening(tok))
        self._matcher_of = matcher_of
        self._limit = max_reasoning_tokens
        self._answer_now = False
        self._ids: list[int] = []
        self._messages: list[_Message] = []
        self._bits = _BitMask(self._size)
        self.failure: str | None = None

    @property
    def finished(self) -> bool:
        """Nothing may follow: the last id was a terminator of the turn."""
        return bool(self._ids) and self._ids[-1] in self._stop_ids

    @property
    def closed_reasoning(self) -> bool:
        """Whether the limit or `answer_now` closed analysis in this step."""
        return any(message.closes for message in self._messages)

    def answer_now(self) -> None:
        """Close analysis at its next token; safe from any thread, and lasting."""
        self._answer_now = True

    def mask(self, out: NDArray[np.uint8]) -> None:
        """Write 1 for every allowed id and 0 elsewhere; out (V,), where V may exceed the vocabulary."""
        message = self._settled()
        lead = self._lead_left(message)
        if lead:
            out[:] = 0
            out[lead[0]] = 1
        elif message.matcher is None or not self._write_matched(message.matcher, out):
            out[: self._size] = 1
            out[self._size :] = 0

    def advance(self, ids: Sequence[int]) -> None:
        """Accept these ids."""
        for token_id in ids:
            self._accept(token_id)

    def forced(self) -> list[int]:
        """The ids that must come next whatever the model says; empty where there is a choice."""
        message = self._settled()
        lead = self._lead_left(message)
        if message.matcher is None or self.finished:
            return list(lead)
        forced = message.matcher.compute_ff_tokens()
        self._check(message.matcher)
        return [*lead, *forced]

    def rollback(self, n: int) -> None:
        """Forget the last n accepted ids, and what they brought about."""
        left = len(self._ids) - n
        assert left >= 0, f"cannot forget {n} of {len(self._ids)} ids"
        before = len(self._ids)
        del self._ids[left:]
        while self._messages and self._messages[-1].start > left:
            before = self._messages.pop().start
        if self._messages:
            self._rewind(self._messages[-1], before, left)

    def _rewind(self, message: _Message, before: int, left: int) -> None:
        first = message.start + len(message.lead)
        if message.matcher is not None and before > first:
            message.matcher.rollback(before - max(left, first))
            self._check(message.matcher)
        if message.body is not None and message.body > left:
            message.body, message.is_reasoning = None, False

    def _settled(self) -> _Message:
        """The message the next id belongs to, after the limit was looked at."""
        if not self._messages:
            self._messages.append(self._next_message((), 0))
        message = self._messages[-1]
        if self._is_spent(message):
            if message.is_reasoning and message.body is not None:
                message = self._close_reasoning(message)
            elif message.may_reason and message.body is None:
                self._take_analysis_away(message)
        return message

    def _next_message(self, lead: tuple[int, ...], reasoned: int) -> _Message:
        spent = self._answer_now or (self._limit is not None and reasoned >= self._limit)
        matcher = self._new_matcher("late" if spent else "free")
        return _Message(len(self._ids), lead if matcher else (), matcher, not spent, reasoned)

    def _close_reasoning(self, message: _Message) -> _Message:
        matcher = self._new_matcher("answer")
        lead = (self._marks.end, *self._opening) if matcher else tuple(answer_after_thought(self._tok))
        closing = _Message(len(self._ids), lead, matcher, False, self._reasoned(message), closes=True)
        self._messages.append(closing)
        return closing

    def _take_analysis_away(self, message: _Message) -> None:
        """Change to the grammar without analysis, unless the header under way already says analysis."""
        message.may_reason = False
        if message.matcher is None:
            return
        late = self._new_matcher("late")
        header = self._ids[message.start + len(message.lead) :]
        if late is not None and late.try_consume_tokens(header) == len(header):
            message.matcher = late

    def _accept(self, token_id: int) -> None:
        if not self._messages:
            self._messages.append(self._next_message((), 0))
        message = self._messages[-1]
        lead = self._lead_left(message)
        if lead:
            if token_id != lead[0]:
                self._fail(f"id {token_id} came where {lead[0]} was forced")
        elif (
            message.matcher is not None
            and not message.matcher.consume_token(token_id)
            and not self._accept_as_before(message, token_id)
        ):
            self._fail(message.matcher.get_error() or f"id {token_id} was not allowed")
        self._ids.append(token_id)
        self._follow(message, token_id)

    def _accept_as_before(self, message: _Message, token_id: int) -> bool:
        """Whether the id was allowed before `answer_now` came: what is sampled now obeys a mask written then.
        If so that grammar stays for this message; should it be analysis, its body is closed."""
        if not self._answer_now or message.body is not None:
            return False
        header = [*self._ids[message.start + len(message.lead) :], token_id]
        free = self._new_matcher("free")
        if free is None or free.try_consume_tokens(header) != len(header):
            return False
        message.matcher, message.may_reason = free, False
        return True

    def _follow(self, message: _Message, token_id: int) -> None:
        """Keep track of where the header ends, and of messages that end."""
        at = len(self._ids)
        if at - message.start <= len(message.lead) and message.matcher is not None:
            return
        marks = self._marks
        if token_id == marks.message and message.body is None:
            message.body = at
            message.is_reasoning = self._says_analysis(self._ids[message.start : at - 1])
        elif token_id == marks.end and not self._lead_left(message):
            reasoned = self._reasoned(message) - int(message.is_reasoning)
            self._messages.append(self._next_message(self._opening, reasoned))

    def _says_analysis(self, header: list[int]) -> bool:
        """Is a header that of a message in analysis, and not of a call there?"""
        text = self._tok.decode(header)
        words = text.rpartition("<|channel|>")[2].split()
        return words[:1] == ["analysis"] and "to=" not in text

    def _reasoned(self, message: _Message) -> int:
        """Tokens of analysis so far, those of `message` included."""
        if message.body is None or not message.is_reasoning:
            return message.reasoned
        return message.reasoned + len(self._ids) - message.body

    def _is_spent(self, message: _Message) -> bool:
        if self._answer_now:
            return True
        return self._limit is not None and self._reasoned(message) >= self._limit

    def _lead_left(self, message: _Message) -> tuple[int, ...]:
        return message.lead[len(self._ids) - message.start :]

    def _write_matched(self, matcher: llguidance.LLMatcher, out: NDArray[np.uint8]) -> bool:
        self._bits.write(matcher, out)
        return self._check(matcher)

    def _new_matcher(self, phase: Phase) -> llguidance.LLMatcher | None:
        if self._matcher_of is None:
            return None
        try:
            matcher = self._matcher_of(phase)
        except Exception as cause:  # llguidance could not be given the vocabulary
            self._fail(f"{type(cause).__name__}: {cause}")
            return None
        return matcher if self._check(matcher) else None

    def _check(self, matcher: llguidance.LLMatcher) -> bool:
        if matcher.is_error():
            self._fail(matcher.get_error())
            return False
        return True

    def _fail(self, why: str) -> None:
        """Give up the grammar: everything is allowed from now on, the reasoning limit still holds."""
        self.failure = self.failure or why.partition("\n")[0]
        self._matcher_of = None
        for message in self._messages:
            message.matcher, message.lead = None, ()


class _BitMask:
    """llguidance writes a bit per id, the engine wants a byte.

    The last bit mask is kept beside its bytes: inside text the mask hardly changes, and copying is three
    times as fast as unpacking.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._bits = np.zeros(-(-size // 32), np.int32)
        self._last_bits = b""
        self._last_bytes = np.zeros(size, np.uint8)

    def write(self, matcher: llguidance.LLMatcher, out: NDArray[np.uint8]) -> None:
        """The matcher's mask into out (V,)."""
        matcher.unsafe_compute_mask_ptr(self._bits.ctypes.data, self._bits.nbytes)
        bits = self._bits.tobytes()
        if bits != self._last_bits:
            self._last_bits = bits
            self._last_bytes = np.unpackbits(self._bits.view(np.uint8), count=self._size, bitorder="little")
        n = min(out.size, self._size)
        out[:n] = self._last_bytes[:n]
        out[n:] = 0


def free_mask(tok: Tokenizer, *, max_reasoning_tokens: int | None = None) -> FrameMask:
    """A mask without a grammar: only the reasoning limit and `answer_now`."""
    return FrameMask(tok, None, max_reasoning_tokens)
