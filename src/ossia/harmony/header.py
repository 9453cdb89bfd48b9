"""The header of a message: which words may stand in it, and what the words of a sampled one mean.

A header is made of words between control tokens. A word that held a space or an equals sign could pose
as a recipient, one that held ``<|`` as a control token, and a tool named "user" as the user; rendering
refuses such words, reading cleans them, so that whatever was read can be rendered again.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from ossia.errors import InputError
from ossia.harmony.events import Code
from ossia.harmony.messages import CHANNELS, Message, Role

CONSTRAIN = "<|constrain|>"
ROLES: frozenset[str] = frozenset(get_args(Role))
Section = Literal["author", "channel", "constrain"]

_FORBIDDEN = re.compile(r"[\s<>|=\x00-\x1f\x7f\ud800-\udfff]+")
_TOOL = re.compile(r"(functions|browser)\..+|python")  # what is a recipient even without "to="
_GLUED = re.compile(rf"\s*({'|'.join(CHANNELS)})to=")
_TO = r"(?:\s*to=[\w.\-]+)?"
_KNOWN_ROLE = rf"(?:{'|'.join(sorted(ROLES))})\b(?::[\w.\-]+)?"
# What is header in a section that may run on into the body, its <|message|> being absent.
_HEADER_PART: Mapping[Section, re.Pattern[str]] = {
    "author": re.compile(rf"\s*(?:{_KNOWN_ROLE}|[\w.\-]+(?=\s+to=))?{_TO}"),
    "channel": re.compile(rf"\s*(?:(?:{'|'.join(CHANNELS)})(?=to=|[^a-z]|$)|(?!to=)\S*){_TO}"),
    "constrain": re.compile(rf"\s*(?!to=)\w*{_TO}"),
}


def check_header(message: Message) -> None:
    """Raise InputError if a field of `message` could not stand in its header as what it is."""
    for name in ("name", "channel", "recipient"):
        _check_word(name, getattr(message, name))
    if message.content_type is not None and message.content_type != CONSTRAIN:
        _check_word("content_type", message.content_type.removeprefix(CONSTRAIN))
    if message.role == "tool":
        _check_tool_name(message.name)


def _check_word(name: str, word: str | None) -> None:
    if word is not None and (not word or _FORBIDDEN.search(word)):
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


def read_header(
    sections: Sequence[tuple[Section, str]], role: Role | None, *, sampled: bool, whole: bool
) -> Header:
    """Say what a header's sections mean; never raises, whatever they hold.

    `sections` in the order they came: the text before ``<|channel|>``, after it, after ``<|constrain|>``; a
    second channel overrules the first, a second ``<|constrain|>`` does not. `role` is the author if
    the prompt named it; `sampled` that an assistant wrote this; not `whole` that ``<|message|>`` is
    absent, so that the last section may run on into the body.
    """
    rest = ""
    told = list(sections)
    if not whole and told:
        last, text = told.pop()
        cut = _header_end(last, text, role)
        told.append((last, text[:cut]))
        rest = text[cut:].lstrip()
    return _Reading(role, sampled).read(told, rest)


def _header_end(section: Section, text: str, role: Role | None) -> int:
    """Where the header ends in a section that may run on into the body."""
    pattern = _HEADER_PART[section]
    if section == "author" and role is not None:
        pattern = re.compile(rf"\s*(?:{role}\b)?{_TO}")
    match = pattern.match(text)
    return match.end() if match else 0


@dataclass(slots=True)
class _Reading:
    """The words of one header being given their meaning."""

    role: Role | None
    sampled: bool
    name: str | None = None
    channel: str | None = None
    recipient: str | None = None
    recipient_in: Literal["author", "channel"] = "author"
    content_type: str | None = None
    stranger: str = ""  # an author that is no role
    says_role: bool = False
    spare: list[str] = field(default_factory=list[str])
    notes: list[tuple[Code, str]] = field(default_factory=list[tuple[Code, str]])

    def read(self, sections: Sequence[tuple[Section, str]], rest: str) -> Header:
        for section, text in sections:
            words = self._take_recipient(section, text)
            if section == "author":
                words = self._take_author(words)
            elif section == "channel":
                words = self._take_channel(words)
            elif self.content_type in (None, CONSTRAIN):
                self.content_type = CONSTRAIN + "".join(words[:1])
                words = words[1:]
            self.spare += words
        self._place_spare()
        role = self._decide_role()
        self._check(role)
        name = self.name or "tool" if role == "tool" else self.name
        return Header(
            role,
            name,
            self.channel,
            self.recipient,
            self.content_type,
            self.recipient_in,
            rest,
            self.says_role,
            tuple(self.notes),
        )

    def _take_recipient(self, section: Section, text: str) -> list[str]:
        """Take ``to=…`` out of a section's words, wherever it stands; clean the others."""
        words = (_GLUED.sub(r"\1 to=", text) if section == "channel" else text).split()
        left: list[str] = []
        expected = False
        for word in words:
            to, expected = expected or word.startswith("to="), word == "to="
            clean = _FORBIDDEN.sub("", word.removeprefix("to=") if to else word)
            if to and clean and self.recipient is None:
                self.recipient = clean
                self.recipient_in = "author" if section == "author" else "channel"
            elif clean:
                left.append(clean)
        return left

    def _take_author(self, words: list[str]) -> list[str]:
        if self.role is not None:
            self.says_role = words[:1] == [self.role]
            return words[1:] if self.says_role else words
        if not words:
            return words
        role, _, name = words[0].partition(":")
        if role in ROLES:
            self.role = cast(Role, role)
            self.name = words[0] if role == "tool" else name or None
            self.says_role = True
        else:
            self.stranger = words[0]
        return words[1:]

    def _take_channel(self, words: list[str]) -> list[str]:
        self.channel = words[0] if words else self.channel
        return words[1:]

    def _place_spare(self) -> None:
        """A spare word is a recipient if it names a tool, else the content type."""
        unplaced: list[str] = []
        for word in self.spare:
            if self.recipient is None and _TOOL.fullmatch(word):
                self.recipient, self.recipient_in = word, "channel" if self.channel else "author"
                self.notes.append(("bare-recipient", word))
            elif self.content_type is None and self.channel is not None:
                self.content_type = word
            else:
                unplaced.append(word)
        if unplaced:
            self.notes.append(("header-words", " ".join(unplaced)))

    def _decide_role(self) -> Role:
        if self.role is not None:
            return self.role
        if not self.stranger:
            self.notes.append(("missing-role", ""))
            return "assistant"
        if self.recipient == "assistant":
            self.name = self.stranger
            return "tool"
        tool = _TOOL.fullmatch(self.stranger) is not None
        if self.recipient is None and (self.content_type or (self.sampled and tool)):
            self.recipient = self.stranger
            self.notes.append(("recipient-in-role", self.stranger))
            return "assistant"
        if tool or not self.sampled:
            self.name = self.stranger
            return "tool"
        self.notes.append(("unknown-role", self.stranger))
        return "assistant"

    def _check(self, role: Role) -> None:
        if self.sampled and role != "assistant":
            self.notes.append(("foreign-role", role))
        if role != "assistant":
            return
        if self.channel is None:
            self.notes.append(("missing-channel", ""))
        elif self.channel not in CHANNELS:
            self.notes.append(("unknown-channel", self.channel))
        elif (self.recipient or "").startswith("functions.") and self.channel != "commentary":
            self.notes.append(("call-channel", self.channel))
