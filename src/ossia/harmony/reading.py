"""What the words of a sampled header mean: total, and by words alone.

Does not know token ids, bodies or what came before. Where a word is not where it belongs, the reading says
what it took it for; words that mean nothing are left out and reported.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast

from ossia.harmony.events import Code
from ossia.harmony.header import CONSTRAIN, FORBIDDEN, ROLES, Header
from ossia.harmony.messages import CHANNELS, Role

Section = Literal["author", "channel", "constrain"]

_COMMON_LENGTH = 200  # characters of a header that is worth remembering

_CHANNEL = "|".join(CHANNELS)
_ROLE = "|".join(sorted(ROLES))
_TOOL = re.compile(r"(functions|browser)\..+|python")  # what is a recipient even without "to="
_CONTENT_TYPE = re.compile(r"[A-Za-z][\w.+/-]*")
_GLUED_TO = re.compile(rf"({_CHANNEL}|{_ROLE})to\s*=")
_TO_EQUALS = re.compile(r"\bto\s*=\s*")
_GLUED_ROLE = re.compile(rf"({_ROLE})({_CHANNEL})")
_SPELLED = re.compile(r"<\|(\w+)\|>")
_STRIPPED_FIRST = re.compile(rf"\s*(?:{_CHANNEL})(?![a-z])")
_STRIPPED = re.compile(rf"(?:^\s*|assistant)({_CHANNEL})\s*")

# What is header in a section that may run on into the body, its <|message|> being absent.
_TO = r"(?:\s*to\s*=\s*[\w.\-]+(?:\s+(?:json|code)(?![\w ]))?)?"
_FILLER = r"[-–—.…?!*#:]*"
_HEADER_PART: Mapping[Section, re.Pattern[str]] = {
    "author": re.compile(rf"\s*(?:(?:{_ROLE})\b(?::[\w.\-]+)?|[\w.\-]+(?=\s+to\s*=))?{_TO}"),
    "channel": re.compile(rf"\s*(?:{_FILLER}(?:{_CHANNEL})|[\w.\-]+(?=\s+to\s*=)|\S+(?=\s*$))?{_TO}"),
    "constrain": re.compile(rf"\s*(?!to=)\w*{_TO}"),
}


def read_header(
    sections: Sequence[tuple[Section, str]], role: Role | None, *, sampled: bool, whole: bool
) -> Header:
    """Say what a header's sections mean; never raises, whatever they hold.

    `sections` in the order they came: the text before ``<|channel|>``, after it, after ``<|constrain|>``; a
    second channel overrules the first, a second ``<|constrain|>`` does not. `role` is the author if
    the prompt named it; `sampled` that an assistant wrote this; not `whole` that ``<|message|>`` is
    absent, so that the last section may run on into the body.
    """
    told = tuple(sections)
    if whole:
        short = sum(len(text) for _, text in told) <= _COMMON_LENGTH
        return _read_common(told, role, sampled) if short else _Reading(role, sampled).read(told, "")
    if not told:
        return _Reading(role, sampled).read((), "")
    last, text = told[-1]
    rest = body_within(last, text, role)
    return _Reading(role, sampled).read((*told[:-1], (last, text[: len(text) - len(rest)])), rest)


@lru_cache(maxsize=256)
def _read_common(sections: tuple[tuple[Section, str], ...], role: Role | None, sampled: bool) -> Header:
    """Nearly every header was read before, word for word."""
    return _Reading(role, sampled).read(sections, "")


def body_within(section: Section, text: str, role: Role | None) -> str:
    """What is body in a section that may run on into it, ``<|message|>`` being absent."""
    pattern = _HEADER_PART[section]
    if section == "author" and role is not None:  # the name of another role begins a sentence
        pattern = re.compile(rf"\s*(?:{role}\b|(?:{_CHANNEL})(?=\s+to\s*=))?{_TO}")
    match = pattern.match(text)
    return text[match.end() if match else 0 :].lstrip()


def stripped_messages(text: str) -> list[tuple[int, str, str]]:
    """Where a message begins in `text`, its channel and its body, where markers were dropped and names kept.

    Some engines do: ``analysisHm.assistantfinalHi``. Empty for any other text: one name alone is a word.
    """
    found = list(_STRIPPED.finditer(text))
    if len(found) < 2 or not _STRIPPED_FIRST.match(text):
        return []
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [
        (match.start(), match[1], text[match.end() : end]) for match, end in zip(found, ends, strict=True)
    ]


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
    stray: str = ""  # an unknown channel that another overruled
    says_role: bool = False
    constrains: int = 0
    spare: list[str] = field(default_factory=list[str])
    odd: list[str] = field(default_factory=list[str])  # words without a meaning here
    notes: list[tuple[Code, str]] = field(default_factory=list[tuple[Code, str]])

    def read(self, sections: Sequence[tuple[Section, str]], rest: str) -> Header:
        for section, text in self._spelled_out(sections):
            words = self._take_recipient(section, text)
            if section == "author":
                words = self._take_author(words)
            elif section == "channel":
                words = self._take_channel(words)
            else:
                words = self._take_constrain(words)
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
            self.recipient_in if self.channel else "author",
            rest,
            self.says_role,
            tuple(self.notes),
        )

    def _spelled_out(self, sections: Sequence[tuple[Section, str]]) -> list[tuple[Section, str]]:
        """Divide sections again where they spell out a marker as text: there it can mean nothing else."""
        divided: list[tuple[Section, str]] = []
        for section, text in sections:
            parts = _SPELLED.split(text)
            divided.append((section, parts[0]))
            for marker, part in zip(parts[1::2], parts[2::2], strict=True):
                begun: Section = (
                    cast(Section, marker) if marker in ("channel", "constrain") else divided[-1][0]
                )
                divided.append((begun, part))
                self._note_once("spelled-marker", f"<|{marker}|>")
        return divided

    def _take_recipient(self, section: Section, text: str) -> list[str]:
        """Take ``to=…`` out of a section's words, wherever it stands; clean the others."""
        left: list[str] = []
        for word in _TO_EQUALS.sub("to=", _GLUED_TO.sub(r"\1 to=", text)).split():
            named = word.removeprefix("to=")
            clean = FORBIDDEN.sub("", named)
            if clean != named or not clean:
                self.odd.append(word)
            if clean and named != word:
                self._address(clean, section)
            elif clean:
                left.append(clean)
        return left

    def _address(self, recipient: str, section: Section) -> None:
        if self.recipient is not None:
            self._note_once("repeated-recipient", recipient)
        if recipient != self.recipient:
            self.recipient = recipient
            self.recipient_in = "author" if section == "author" else "channel"

    def _take_author(self, words: list[str]) -> list[str]:
        if words and (glued := _GLUED_ROLE.fullmatch(words[0])):
            words = [*glued.groups(), *words[1:]]
        if self.role is not None:
            self.says_role = words[:1] == [self.role]
            return words[1:] if self.says_role else words
        if not words or words[0] in CHANNELS:
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
        """The first word that is a channel's name, else holds one, else the first; known beats unknown."""
        exact = next((word for word in words if word in CHANNELS), None)
        word = exact or next((word for word in words if _channel_in(word)), words[0] if words else None)
        if word is None:
            return words
        known = _channel_in(word)
        if known is None and self.channel in CHANNELS:
            self.odd += words
            return []
        if self.channel is not None and self.channel not in CHANNELS:
            self.stray = self.channel
        self.channel = known or word
        if known and known != word:
            self.notes.append(("garbled-channel", word))
        return [other for other in words if other is not word]

    def _take_constrain(self, words: list[str]) -> list[str]:
        self.constrains += 1
        if self.constrains > 1:
            self._note_once("repeated-constrain", "")
        if words and words[0] in CHANNELS:
            return words
        if self.content_type in (None, CONSTRAIN):
            self.content_type = CONSTRAIN + "".join(words[:1])
            words = words[1:]
        return words

    def _place_spare(self) -> None:
        """A spare word is a recipient if it names a tool, a channel if none is named, or the type."""
        for word in self.spare:
            if self.recipient is None and _TOOL.fullmatch(word):
                self._name_recipient(word)
            elif self.channel is None and (known := _channel_in(word)):
                self.channel = known
                self.notes.append(("misplaced-channel", word))
            elif self.content_type is None and self.channel is not None and _is_content_type(word):
                self.content_type = word
            else:
                self.odd.append(word)
        if self.stray and self.recipient is None and (self._constrained or _TOOL.fullmatch(self.stray)):
            self._name_recipient(self.stray)
        elif self.stray:
            self.odd.append(self.stray)
        if self.odd:
            self.notes.append(("header-words", " ".join(self.odd)))

    def _name_recipient(self, word: str) -> None:
        self.recipient, self.recipient_in = word, "channel" if self.channel else "author"
        self.notes.append(("bare-recipient", word))

    @property
    def _constrained(self) -> bool:
        return self.content_type is not None and self.content_type.startswith(CONSTRAIN)

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
        called = self.content_type is not None and self.channel not in ("analysis", "final")
        if self.recipient is None and (called or (self.sampled and tool)):
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

    def _note_once(self, code: Code, detail: str) -> None:
        if all(code != noted for noted, _ in self.notes):
            self.notes.append((code, detail))


def _channel_in(word: str) -> str | None:
    """The channel whose name `word` holds, as "––commentary", "finalx" and "Analysis" do."""
    match = re.search(_CHANNEL, word.lower())
    return match.group() if match else None


def _is_content_type(word: str) -> bool:
    return _channel_in(word) is None and _CONTENT_TYPE.fullmatch(word) is not None
