"""o200k_harmony, gpt-oss's vocabulary: o200k_base ranks from the package, and Harmony's control tokens.

Nothing is downloaded: the ranks travel in the package (`vocabulary.py`) and tiktoken is given them directly.
Ids and names as in openai-harmony 0.0.8 and tiktoken 0.14, which agree but for 200018: both
``<|endofprompt|>`` and ``<|reserved_200018|>``.
"""

from collections.abc import Iterable, Sequence
from functools import cache

import tiktoken

from ossia.errors import HashMismatchError
from ossia.tokenizer.base import Markers
from ossia.tokenizer.pieces import PieceTable, Utf8Stream, well_formed
from ossia.tokenizer.vocabulary import PACKAGED, TOKENS, read_pieces

VOCAB_SIZE = 201_088
_NAMED = {
    "<|startoftext|>": 199_998,
    "<|endoftext|>": 199_999,
    "<|return|>": 200_002,
    "<|constrain|>": 200_003,
    "<|channel|>": 200_005,
    "<|start|>": 200_006,
    "<|end|>": 200_007,
    "<|message|>": 200_008,
    "<|call|>": 200_012,
    "<|endofprompt|>": 200_018,
}
_MARKERS = Markers(
    start=200_006,
    end=200_007,
    message=200_008,
    channel=200_005,
    constrain=200_003,
    call=200_012,
    return_=200_002,
    endoftext=199_999,
)
_WORD_START = r"[^\r\n\p{L}\p{N}]?"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_PATTERN = "|".join(
    (
        rf"{_WORD_START}{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"{_WORD_START}{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def _special_tokens() -> dict[str, int]:
    taken = set(_NAMED.values()) - {200_018}
    reserved = {f"<|reserved_{i}|>": i for i in range(TOKENS, VOCAB_SIZE) if i not in taken}
    return _NAMED | reserved


class O200kHarmony:
    """The Tokenizer of the gpt-oss models."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._special = _special_tokens()
        names = {i: name for name, i in reversed(self._special.items())}  # the first name of an id wins
        self._table = PieceTable([*pieces, *(names[i].encode() for i in range(TOKENS, VOCAB_SIZE))])
        self._bpe = tiktoken.Encoding(
            "o200k_harmony",
            pat_str=_PATTERN,
            mergeable_ranks=dict(zip(pieces, range(TOKENS), strict=True)),
            special_tokens=self._special,
        )

    @property
    def name(self) -> str:
        return "o200k_harmony"

    @property
    def vocab_size(self) -> int:
        return VOCAB_SIZE

    @property
    def markers(self) -> Markers:
        return _MARKERS

    @property
    def special_tokens(self) -> dict[str, int]:
        return dict(self._special)

    def encode(self, text: str) -> list[int]:
        """Ids of `text` as ordinary text; lone surrogates are read as U+FFFD."""
        return self._bpe.encode_ordinary(well_formed(text))

    def decode(self, ids: Iterable[int]) -> str:
        return self._table.decode(ids)

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        return self._table.decode_bytes(ids)

    def stream(self) -> Utf8Stream:
        return self._table.stream()


@cache
def load_o200k_harmony() -> O200kHarmony:
    """Load the packaged vocabulary (once per process); raises HashMismatchError if it is damaged."""
    try:
        return O200kHarmony(read_pieces())
    except ValueError as cause:
        raise HashMismatchError(
            f"the packaged vocabulary is damaged: {cause}",
            value=str(PACKAGED),
            limit=f"{TOKENS} tokens",
            remedy="Install Ossia again.",
        ) from cause
