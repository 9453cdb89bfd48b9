"""What may stand in a message's header, as words: the rules rendering checks and parsing keeps.

A header is made of words between control tokens. A word that held a space or an equals sign could pose
as a recipient, one that held ``<|`` as a control token, and a tool named "user" as the user; so none may.
"""

import re
from typing import get_args

from ossia.errors import InputError
from ossia.harmony.messages import Message, Role

CONSTRAIN = "<|constrain|>"
ROLES: frozenset[str] = frozenset(get_args(Role))

_FORBIDDEN = re.compile(r"[\s<>|=\x00-\x1f\x7f\ud800-\udfff]+")


def clean_word(text: str) -> str:
    """Return `text` without what no header word may hold."""
    return _FORBIDDEN.sub("", text)


def check_header(message: Message) -> None:
    """Raise InputError if a field of `message` could not stand in its header as what it is."""
    for field in ("name", "channel", "recipient"):
        _check_word(field, getattr(message, field))
    if message.content_type is not None and message.content_type != CONSTRAIN:
        _check_word("content_type", message.content_type.removeprefix(CONSTRAIN).replace("=", ""))
    if message.role == "tool":
        _check_tool_name(message.name)


def _check_word(field: str, word: str | None) -> None:
    if word is not None and (not word or _FORBIDDEN.search(word)):
        raise InputError(
            f"a message's {field} cannot be {word!r}",
            value=word,
            limit="one word without spaces, control characters, '<', '>', '|' or '='",
            remedy=f"Rename the {field}.",
        )


def _check_tool_name(name: str | None) -> None:
    if name is None or name.split(":", 1)[0] in ROLES - {"tool"}:
        raise InputError(
            "a tool's message needs the tool's name" if name is None else f"a tool cannot be called {name!r}",
            value=name,
            limit=sorted(ROLES),
            remedy="Give the full name that was called, for example functions.get_weather.",
        )
