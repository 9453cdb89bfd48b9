"""Which tokens a piece of text was sampled as, and how likely the model thought each.

It stands beside the translation from ids to text, knows nothing of messages, and costs nothing where nobody
asks for probabilities.
"""

from dataclasses import dataclass

from ossia.model.sampling import Token
from ossia.tokenizer.base import Tokenizer

Likely = tuple[str, bytes, float]
"""A token's text, bytes and log-probability."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One sampled token: its text (U+FFFD for what is no whole character), its bytes, its natural
    log-probability under the raw distribution, and the likeliest tokens there, likeliest first.

    A token that a grammar left no choice about was not sampled: its `logprob` is 0.0, its `top` empty.
    """

    token: str
    bytes: bytes
    logprob: float
    top: tuple[Likely, ...] = ()


class LogprobTrail:
    """Gives the tokens of a message out with the text they became part of.

    A token goes with the delta that shows its first character. So none is lost while half a character or the
    beginning of a stop string is held back, and those of a stop string that was found never come.
    """

    def __init__(self, tok: Tokenizer) -> None:
        self._tok = tok
        self._control = frozenset(tok.special_tokens.values())
        self._pending: list[tuple[int, Token]] = []  # where each begins, in characters
        self._read = 0  # characters of the message that the tokens made
        self._shown = 0  # of these, what was given out

    def begin(self) -> None:
        """Another message begins."""
        self._pending.clear()
        self._read = self._shown = 0

    def add(self, token: Token) -> None:
        """A token was sampled inside a message's body; control tokens are no text."""
        if token.id not in self._control:
            self._pending.append((self._read, token))

    def read(self, text: str) -> None:
        """The tokens so far made this much more text."""
        self._read += len(text)

    def show(self, text: str) -> tuple[TokenLogprob, ...]:
        """This much more is given out; returns the tokens to go with it."""
        self._shown += len(text)
        due = sum(start < self._shown for start, _ in self._pending)
        given = tuple(self._describe(token) for _, token in self._pending[:due])
        del self._pending[:due]
        return given

    def _describe(self, token: Token) -> TokenLogprob:
        top = tuple((*self._piece(i), logprob) for i, logprob in token.top)
        return TokenLogprob(*self._piece(token.id), 0.0 if token.logprob is None else token.logprob, top)

    def _piece(self, token_id: int) -> tuple[str, bytes]:
        piece = self._tok.decode_bytes([token_id])
        return piece.decode(errors="replace"), piece
