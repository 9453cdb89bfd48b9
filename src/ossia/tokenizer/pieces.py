"""The bytes behind token ids, and text out of bytes: what both tokenizers share.

A byte-level vocabulary is a list of byte strings. Ids that name no token (a padded vocabulary, a model
gone wrong) read as U+FFFD rather than raise: what a model samples is data.
"""

import codecs
from collections.abc import Iterable, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_REPLACEMENT_BYTES = REPLACEMENT.encode()


def well_formed(text: str) -> str:
    """Return `text` without surrogates: pairs are joined, lone ones become U+FFFD (as tiktoken does).

    Lone surrogates come from JSON ("\\ud800") and from bytes read with ``errors="surrogateescape"``.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


class Utf8Stream:
    """A StreamDecoder over a list of pieces; joined, its output equals decoding all ids at once."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._open = False  # the decoder holds the beginning of a character

    def feed(self, token_id: int) -> str:
        known = 0 <= token_id < len(self._pieces)
        piece = self._pieces[token_id] if known else _REPLACEMENT_BYTES
        if not self._open:
            try:
                return str(piece, "utf-8")  # nearly always: whole characters, twice as fast
            except UnicodeDecodeError:
                pass
        text = self._decoder.decode(piece)
        self._open = self._decoder.getstate()[0] != b""
        return text

    def flush(self) -> str:
        self._open = False
        return self._decoder.decode(b"", final=True)


class PieceTable:
    """Decoding for a vocabulary given as one byte string per id; control tokens hold their names."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __len__(self) -> int:
        return len(self._pieces)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        pieces, size = self._pieces, len(self._pieces)
        return b"".join([pieces[i] if 0 <= i < size else _REPLACEMENT_BYTES for i in ids])

    def decode(self, ids: Iterable[int]) -> str:
        return self.decode_bytes(ids).decode(errors="replace")

    def stream(self) -> Utf8Stream:
        return Utf8Stream(self._pieces)
