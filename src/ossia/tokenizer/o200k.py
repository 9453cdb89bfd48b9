"""o200k_harmony, gpt-oss's vocabulary: o200k_base ranks from the package, and Harmony's control tokens.

Nothing is downloaded: the ranks travel in the package (`vocabulary.py`) and tiktoken is given them directly.
Ids and names as in openai-harmony 0.0.8 and tiktoken 0.14, which agree but for 200018: both
``<|endofprompt|>`` and ``<|reserved_200018|>``.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property

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
# tiktoken's regex engine overflows its stack on a million spaces in a row (`\s+(?!\S)` backtracks).
_RUN_LIMIT = 500_000
_SPACE = r"[^\S\r\n\x1c-\x1f]"  # Unicode White_Space without line ends: what its \s matches, less \r and \n


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
        self._ranks = dict(zip(pieces, range(TOKENS), strict=True))
        self._bpe = tiktoken.Encoding(
            "o200k_harmony",
            pat_str=_PATTERN,
            mergeable_ranks=self._ranks,
            special_tokens={name: i for i, name in names.items()},
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
        text = well_formed(text)
        if len(text) > _RUN_LIMIT:
            return self._encode_runs(text, _RUN_LIMIT)
        return self._bpe.encode_ordinary(text)

    def decode(self, ids: Iterable[int]) -> str:
        return self.decode_bytes(ids if isinstance(ids, list) else [*ids]).decode(errors="replace")

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        try:
            return self._bpe.decode_bytes(ids)
        except (KeyError, OverflowError):  # an id that names no token: the table replaces it
            return self._table.decode_bytes(ids)

    def stream(self) -> Utf8Stream:
        return self._table.stream()

    def _encode_runs(self, text: str, limit: int) -> list[int]:
        """Encode as the pattern would, but take runs of more than `limit` spaces out of its hands.

        Such a run begins a piece. The pattern gives its last space to the word that follows, and the
        rest is one piece; before a line end or at the end of the text there is nothing to give.
        """
        ids: list[int] = []
        done = 0
        for run in re.finditer(rf"(?<!{_SPACE}){_SPACE}{{{limit + 1},}}+(?![\r\n])", text):
            end = run.end() if run.end() == len(text) else run.end() - 1
            ids += self._bpe.encode_ordinary(text[done : run.start()])
            ids += self._single_piece.encode_ordinary(text[run.start() : end])
            done = end
        return ids + self._bpe.encode_ordinary(text[done:])

    @cached_property
    def _single_piece(self) -> tiktoken.Encoding:
        """The same ranks without a pattern: whatever it is given is one piece."""
        return tiktoken.Encoding("piece", pat_str="(?s:.+)", mergeable_ranks=self._ranks, special_tokens={})


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
