"""A conversation's ids, kept while it grows: only what is new is rendered.

It knows what `render_conversation` would give and gives the same; whose conversation it is and what the
ids are for it does not know. One `Rendering` serves one conversation, in one thread.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from operator import is_not, ne

from ossia.harmony.messages import Conversation, Message, SystemContent
from ossia.harmony.render import assistant_opening, declares_functions, drop_finished_analysis, render_message
from ossia.harmony.schema import SchemaMode
from ossia.tokenizer.base import Tokenizer


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """A conversation's ids, and how far they agree with the ones given before.

    `ids`: a read-only memoryview of int32 that no later update changes; numpy takes it without looking at
    the elements. `kept`: how many of the first ids equal the previous prompt's, exactly: what was computed
    for these still holds, the rest must be computed anew.
    """

    ids: Sequence[int]
    kept: int


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """One message rendered; `functions`: whether it was written for functions being declared."""

    message: Message
    functions: bool
    ids: "array[int]"


class Rendering:
    """The ids of one conversation, brought up to date by `update`.

    The options are `render_conversation`'s. Messages are values: one that is changed in place (a dictionary
    of its tools, for instance) is not seen to have changed.
    """

    def __init__(
        self,
        tok: Tokenizer,
        *,
        drop_analysis: bool = True,
        schema: SchemaMode = "compat",
        canonical: bool = False,
    ) -> None:
        self._tok = tok
        self._drop = drop_analysis
        self._schema: SchemaMode = schema
        self._canonical = canonical
        self._opening = array("i", assistant_opening(tok))
        self._messages: Sequence[Message] = ()
        self._functions = False
        self._pieces: list[_Piece] = []  # of every message, in the conversation's order
        self._shown: list[_Piece] = []  # of those that are not dropped
        self._ids = array("i")

    def update(self, conversation: Conversation, *, completion: bool = False) -> RenderedPrompt:
        """Return the ids of `conversation`, rendering the messages that were not there at the last update.

        They equal `render_conversation`'s, whatever was appended, changed or removed since. `completion`
        opens the assistant's next message. Raises what `render_message` raises, and then nothing was updated.
        """
        messages = conversation.messages
        functions = declares_functions(messages)
        pieces = self._render(messages, functions)
        shown = list(_undropped(messages, pieces)) if self._drop else pieces
        same = _common(self._shown, shown)
        known = sum(len(piece.ids) for piece in shown[:same])
        ids = self._ids[:known]
        for piece in shown[same:]:
            ids.extend(piece.ids)
        if completion:
            ids.extend(self._opening)
        kept = known + _agreement(self._ids[known:], ids[known:])
        self._messages, self._functions = messages, functions
        self._pieces, self._shown, self._ids = pieces, shown, ids
        return RenderedPrompt(memoryview(ids).toreadonly(), kept)

    def _render(self, messages: Sequence[Message], functions: bool) -> list[_Piece]:
        same = _common(self._messages, messages) if functions is self._functions else 0
        pieces = self._pieces[:same]
        for old, message in zip_longest(self._pieces[same : len(messages)], messages[same:]):
            told = functions and isinstance(message.content, SystemContent)
            if old is not None and old.functions is told and _alike(old.message, message):
                pieces.append(old)
            else:
                pieces.append(_Piece(message, told, self._ids_of(message, told)))
        return pieces

    def _ids_of(self, message: Message, functions: bool) -> "array[int]":
        ids = render_message(
            message,
            self._tok,
            valid_functions=functions,
            schema=self._schema,
            canonical=self._canonical,
        )
        return array("i", ids)


def _alike(old: Message, new: Message) -> bool:
    """Whether two messages render alike. Schemas that are equal need not: 1 equals True, and the order of
    their keys plays no part in it."""
    if old is new:
        return True
    if old != new or old.sampled != new.sampled:
        return False
    return isinstance(new.content, str) or repr(old.content) == repr(new.content)


def _undropped(messages: Sequence[Message], pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """The pieces of the messages that are not dropped."""
    left = iter(drop_finished_analysis(messages))
    wanted = next(left, None)
    for message, piece in zip(messages, pieces, strict=True):
        if message is wanted:
            yield piece
            wanted = next(left, None)


def _common(old: Sequence[object], new: Sequence[object]) -> int:
    """How many objects at the beginning of two sequences are the same ones."""
    for at, differ in enumerate(map(is_not, old, new)):
        if differ:
            return at
    return min(len(old), len(new))


def _agreement(old: "array[int]", new: "array[int]") -> int:
    """How many ids at the beginning of two arrays are equal."""
    for at, differ in enumerate(map(ne, old, new)):
        if differ:
            return at
    return min(len(old), len(new))
