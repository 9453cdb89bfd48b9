"""Headers whose ``<|message|>`` has not come: their tokens, and what becomes of them if it never does.

Knows tokens and their places; what a header's words mean is `reading.py`'s to say, and what is told of it the
parser's.
"""

from dataclasses import dataclass, field

from ossia.harmony.events import Stop
from ossia.harmony.header import Header
from ossia.harmony.messages import CHANNELS, Role
from ossia.harmony.reading import Section, stripped_messages
from ossia.tokenizer.base import StreamDecoder, Tokenizer


@dataclass(slots=True)
class Head:
    """A header under way, from token `start` on. `explicit`: it began with ``<|start|>``.

    `prompted`: its ``<|start|>`` and role stood in the prompt; `mended`: a diagnostic was given about it.
    """

    start: int
    explicit: bool
    prompted: Role | None = None
    sections: list[tuple[Section, list[int]]] = field(default_factory=list[tuple[Section, list[int]]])
    text: list[int] = field(default_factory=list[int])
    mended: bool = False

    @property
    def has_channel(self) -> bool:
        return any(section == "channel" for section, _ in self.sections)

    @property
    def is_bare(self) -> bool:
        """Whether no marker at all stands in it."""
        return not self.explicit and [section for section, _ in self.sections] == ["author"]

    def begin(self, section: Section) -> None:
        self.sections.append((section, []))

    def add(self, token_id: int) -> None:
        if not self.sections:
            self.begin("author")
        self.sections[-1][1].append(token_id)
        self.text.append(token_id)


def is_message(head: Head, header: Header, stop: Stop | None) -> bool:
    """Is a header without ``<|message|>`` worth keeping as a message? `stop` is None before another header.

    When the tokens ran out, half a word is no channel and no recipient: only text after a known channel
    counts, or text of a model that writes no header at all. Between messages, text without a letter or a
    digit is filler.
    """
    known = header.channel in CHANNELS
    if stop == "cut":
        return bool(header.rest) and (known or not (head.explicit or head.has_channel))
    if stop is None and not header.labelled:
        return any(character.isalnum() for character in header.rest)
    return bool(header.rest) or header.recipient is not None or (stop is not None and known)


def stripped_parts(head: Head, tok: Tokenizer, end: int, stop: Stop | None) -> list[tuple[int, str, str]]:
    """First token, channel and body of each message in a text that lost its markers; none in other text.

    None either where tokens that are no text stand in it.
    """
    tokens = end - head.start - (stop not in (None, "cut"))
    if not head.is_bare or tokens != len(head.text):
        return []
    parts = stripped_messages(tok.decode(head.text))
    if not parts:
        return []
    starts = _token_starts(tok.stream(), head.text, [at for at, _, _ in parts])
    if len(starts) < len(parts):
        return []
    told = zip(starts, parts, strict=True)
    return [(head.start + at, channel, body) for at, (_, channel, body) in told]


def _token_starts(decoder: StreamDecoder, ids: list[int], offsets: list[int]) -> list[int]:
    """The token of `ids` in which each of `offsets` into their text lies; fewer where two lie in one."""
    starts: list[int] = []
    told = 0
    for number, token_id in enumerate(ids):
        told += len(decoder.feed(token_id))
        if len(starts) < len(offsets) and told > offsets[len(starts)]:
            starts.append(number)
    return starts
