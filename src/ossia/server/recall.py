"""What was sampled, found again when a client sends its conversation back.

Clients of stateless interfaces send everything anew, without token ids and mostly without reasoning. The
server remembers each *run* of assistant messages it sampled, under a digest of all that is visible up to its
end: who spoke to whom, and what. Reasoning, channels, system messages, the spelling of JSON arguments and
whitespace around texts are left out of it, for clients lose or change them.

It knows no dialect. It is for one event loop's thread.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import groupby

from ossia.harmony.messages import Conversation, DeveloperContent, Message, SystemContent

MAX_BYTES = 64 << 20
_MESSAGE_BYTES = 500  # what a message takes beside its text and ids
_ID_BYTES = 8  # small integers are shared, their places in a tuple are not
_JOINTS = ("", "\n", "\n\n", " ")  # with which clients join the texts of one turn


class Recall:
    """Runs of assistant messages as they were sampled, by owner; the least recently used ones go first
    where they take more than about `max_bytes`."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._runs: OrderedDict[bytes, tuple[Message, ...]] = OrderedDict()
        self._bytes = 0

    def remember(self, owner: str, conversation: Conversation) -> None:
        """Keep every run of `conversation` in which something was sampled."""
        for key, run in _keyed(owner, conversation):
            if key is not None and any(m.sampled is not None for m in run) and any(map(_visible, run)):
                self._keep(key, run)

    def complete(self, owner: str, conversation: Conversation) -> Conversation:
        """The conversation with the messages of every run that is remembered as they were sampled: with
        their ids, and the reasoning the client forgot. Where a client sends other reasoning, that stays,
        and only messages that are equal get their ids."""
        whole: list[Message] = []
        for key, run in _keyed(owner, conversation):
            known = None if key is None else self._runs.get(key)
            if key is None or known is None:
                whole += run
                continue
            self._runs.move_to_end(key)
            whole += _restored(run, known)
        return Conversation(tuple(whole))

    def _keep(self, key: bytes, run: tuple[Message, ...]) -> None:
        self._drop(key)
        self._runs[key] = run
        self._bytes += _size(run)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._runs)))

    def _drop(self, key: bytes) -> None:
        if (old := self._runs.pop(key, None)) is not None:
            self._bytes -= _size(old)


def _keyed(owner: str, conversation: Conversation) -> Iterator[tuple[bytes | None, tuple[Message, ...]]]:
    """The conversation in pieces: runs of assistant messages with their keys, what lies between with None."""
    digest = hashlib.sha256(repr(owner).encode())
    for assistant, group in groupby(conversation.messages, lambda m: m.role == "assistant"):
        piece = tuple(group)
        parts = _run_parts(piece) if assistant else [part for m in piece for part in _parts(m)]
        for part in (str(len(parts)), *parts):
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        yield digest.digest() if assistant else None, piece


def _parts(message: Message) -> list[str]:
    """What a message that is not the assistant's shows."""
    match message.content:
        case SystemContent():
            return []
        case DeveloperContent(instructions):
            text = instructions or ""
        case text:
            pass
    return [message.role, message.name or "", text.strip()]


def _run_parts(run: Sequence[Message]) -> list[str]:
    """What a run shows: its texts without whitespace, as clients join them variously, then its calls."""
    calls = [part for m in run if m.is_call for part in (m.recipient or "", _arguments(m.text))]
    return ["".join("".join(_texts(run)).split()), *calls]


def _texts(run: Sequence[Message]) -> list[str]:
    return [m.text.strip() for m in run if _visible(m) and not m.is_call]


def _visible(message: Message) -> bool:
    """Whether a client is shown it as something other than reasoning."""
    return message.is_call or message.channel != "analysis"


def _arguments(text: str) -> str:
    """A call's arguments in the one form all spellings of the same JSON have; other text as it is."""
    try:
        return json.dumps(json.loads(text or "{}", parse_float=_number), sort_keys=True)
    except (ValueError, RecursionError):
        return text.strip()


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() else value


def _restored(run: Sequence[Message], known: Sequence[Message]) -> Sequence[Message]:
    if not _same_texts(_texts(run), _texts(known)):
        return run  # whitespace inside a text was changed
    said, thought = _reasoning(run), _reasoning(known)
    return known if not said or said == thought else _identified(run, known)


def _same_texts(given: list[str], known: list[str]) -> bool:
    return given == known or (len(given) == 1 and given[0] in {joint.join(known) for joint in _JOINTS})


def _reasoning(run: Sequence[Message]) -> str:
    return "".join("".join(m.text for m in run if not _visible(m)).split())


def _identified(run: Sequence[Message], known: Sequence[Message]) -> list[Message]:
    """The client's messages, those that are known in their order as they were sampled."""
    left, found = list(known), list[Message]()
    for message in run:
        at = next((i for i, old in enumerate(left) if _alike(message, old)), None)
        found.append(message if at is None else left[at])
        left = left if at is None else left[at + 1 :]
    return found


def _alike(one: Message, other: Message) -> bool:
    if (one.recipient, _visible(one)) != (other.recipient, _visible(other)):
        return False
    if one.is_call:
        return _arguments(one.text) == _arguments(other.text)
    return one.text.strip() == other.text.strip()


def _size(run: Sequence[Message]) -> int:
    return sum(map(_bytes_of, run))


def _bytes_of(message: Message) -> int:
    ids = message.sampled
    count = 0 if ids is None else len(ids.header_ids) + len(ids.body_ids) + len(ids.end_ids)
    return _MESSAGE_BYTES + len(message.text) * 2 + count * _ID_BYTES
