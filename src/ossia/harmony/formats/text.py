"""Harmony text: control tokens written out by their names. Here alone text becomes control tokens."""

import re
from collections.abc import Iterable
from functools import lru_cache

from ossia.tokenizer.base import Tokenizer


def ids_from_text(text: str, tok: Tokenizer) -> list[int]:
    """Return the ids of Harmony text: each control token's name is that token, the rest ordinary text.

    Only for text that is known to be Harmony: whoever wrote it decides who says what in it.
    """
    special = tok.special_tokens
    ids: list[int] = []
    for at, piece in enumerate(_markers(tuple(special)).split(text)):
        if at % 2:
            ids.append(special[piece])
        elif piece:
            ids += tok.encode(piece)
    return ids


def has_markers(text: str, tok: Tokenizer) -> bool:
    """Whether any control token is written in `text`."""
    return _markers(tuple(tok.special_tokens)).search(text) is not None


def text_from_ids(ids: Iterable[int], tok: Tokenizer) -> str:
    """Return `ids` as Harmony text; a control token's name in ordinary text then looks like the token."""
    return tok.decode(ids)


@lru_cache(maxsize=8)  # one vocabulary has a thousand names
def _markers(special: tuple[str, ...]) -> re.Pattern[str]:
    names = sorted(special, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, names))})")
