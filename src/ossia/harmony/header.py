"""The header of a message: which words may stand in it, and what was read from a sampled one.

A header is made of words between control tokens. A word that held a space or an equals sign could pose
as a recipient, one that held ``<|`` as a control token, and a tool named "user" as the user; rendering
refuses such words, reading cleans them (`reading.py`), so that whatever was read can be rendered again.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal, get_args

from ossia.errors import InputError
from ossia.harmony.events import Code
from ossia.harmony.messages import Message, Role

CONSTRAIN = "<|constrain|>"
ROLES: frozenset[str] = frozenset(get_args(Role))
FORBIDDEN = re.compile(r"[\s<>|=\x00-\x1f\x7f\ud800-\udfff]+")


def check_header(message: Message) -> None:
    """Raise InputError if a field of `message` could not stand in its header as what it is."""
    for name in ("name", "channel", "recipient"):
        _check_word(name, getattr(message, name))
    if message.content_type is not None and message.content_type != CONSTRAIN:
        _check_word("content_type", message.content_type.removeprefix(CONSTRAIN))
    if message.role == "tool":
        _check_tool_name(message.name)


def _check_word(name: str, word: str | None) -> None:
    if word is not None and (not word or FORBIDDEN.search(word)):
        raise InputError(
            f"a message's {name} cannot be {word!r}",
            value=word,
            limit="one word without spaces, control characters, '<', '>', '|' or '='",
            remedy=f"Change the {name}.",
        )


def _check_tool_name(name: str | None) -> None:
    if name is None or name.split(":", 1)[0] in ROLES - {"tool"}:
        raise InputError(
            "a tool's message needs the tool's name" if name is None else f"a tool cannot be called {name!r}",
            value=name,
            limit=sorted(ROLES),
            remedy="Give the full name that was called, for example functions.get_weather.",
        )


@dataclass(frozen=True, slots=True)
class Header:
    """A header as read. `rest`: text of a body that began without ``<|message|>``."""

    role: Role
    name: str | None
    channel: str | None
    recipient: str | None
    content_type: str | None
    recipient_in: Literal["author", "channel"]
    rest: str
    says_role: bool  # a known role stands in it, so it is a header and no stray text
    notes: tuple[tuple[Code, str], ...]

    @property
    def labelled(self) -> bool:
        """Whether it says what its message is: thought, preamble, answer, call, or somebody else's."""
        return self.channel is not None or self.recipient is not None or self.role != "assistant"

    def taken_as(self, channel: str) -> "Header":
        """The same header, with a channel that it does not name."""
        notes = tuple(
            (code, f"taken as {channel}" if code == "missing-channel" else said) for code, said in self.notes
        )
        return replace(self, channel=channel, notes=notes)

    def message(self, text: str) -> Message:
        return Message(
            self.role,
            text,
            name=self.name,
            channel=self.channel,
            recipient=self.recipient,
            content_type=self.content_type,
            recipient_in=self.recipient_in,
        )
