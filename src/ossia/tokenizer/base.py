"""What every tokenizer can do: the seam between text and token ids."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Markers:
    """The token ids of Harmony's control tokens in one vocabulary (source: o200k_harmony)."""

    start: int  # <|start|>
    end: int  # <|end|>
    message: int  # <|message|>
    channel: int  # <|channel|>
    constrain: int  # <|constrain|>
    call: int  # <|call|>
    return_: int  # <|return|>
    endoftext: int  # <|endoftext|>

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end one sampling step: <|return|>, <|call|> and, as a safety net, <|endoftext|>."""
        return frozenset((self.return_, self.call, self.endoftext))


class StreamDecoder(Protocol):
    """Turns ids into text as they come; never emits half a character."""

    def feed(self, token_id: int) -> str:
        """Return the text that `token_id` completes ("" while a UTF-8 sequence is open)."""
        ...

    def flush(self) -> str:
        """Return what is left, with U+FFFD for a character that never finished."""
        ...


class Tokenizer(Protocol):
    """One interface for o200k_harmony and for a checkpoint's own vocabulary.

    Text is always ordinary text here: `encode` never yields a control token, whatever the text says.
    """

    @property
    def name(self) -> str: ...

    @property
    def vocab_size(self) -> int: ...

    @property
    def markers(self) -> Markers: ...

    @property
    def special_tokens(self) -> dict[str, int]:
        """Every control token's text and id; decoding can name them, encoding never makes them."""
        ...

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Iterable[int]) -> str:
        """Text of `ids`; invalid UTF-8 becomes U+FFFD, control tokens their names."""
        ...

    def decode_bytes(self, ids: Sequence[int]) -> bytes: ...

    def stream(self) -> StreamDecoder: ...
