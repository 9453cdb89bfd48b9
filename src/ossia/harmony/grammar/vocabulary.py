"""A tokenizer of ours as llguidance wants it: the bytes of every id, and which ids are control tokens."""

from functools import cache

import llguidance

from ossia.tokenizer.base import Tokenizer

# Classes of tokens that llguidance allows or forbids at one go. Its own are for strings of JSON up to 10 and
# 30 characters; with these the masks inside strings of bounded length cost half as much (p99).
_IN_STRING = r'[^"\\\x00-\x1F\x7F]'
_SLICES = [r"[\x20\x0A\x0D\x09]+", *(_IN_STRING + f"{{1,{n}}}" for n in (4, 7, 10, 16)), _IN_STRING + "+"]


class _Pieces:
    """What llguidance asks of a tokenizer. Control tokens are marked, so that no text matches them."""

    is_tokenizer_wrapper = True
    bos_token_id = None

    def __init__(self, tok: Tokenizer) -> None:
        self._encode = tok.encode
        # Allowed only where a grammar is complete, and ours are complete only after a terminator.
        self.eos_token_id = tok.markers.endoftext
        self.special_token_ids = sorted(set(tok.special_tokens.values()))
        self.tokens = [tok.decode_bytes([i]) for i in range(tok.vocab_size)]

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)


def build_vocabulary(tok: Tokenizer) -> llguidance.LLTokenizer:
    """llguidance's tokenizer for `tok`: a trie of its pieces.

    Takes 0.7 s for 201,088 tokens, and llguidance holds the GIL all that time.
    """
    return llguidance.LLTokenizer(_Pieces(tok), slices=_SLICES)  # pyright: ignore[reportArgumentType]


@cache
def byte_vocabulary() -> llguidance.LLTokenizer:
    """A vocabulary of the 256 bytes, for reading a text under a grammar without any model's tokenizer."""
    return llguidance.LLTokenizer("byte")
