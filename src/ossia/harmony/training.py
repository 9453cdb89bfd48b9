"""The training view: one example per assistant turn, with the context and the targets inference has.

A *turn* runs from a user message to its final; a *step* is one sampling, from the prompt's
``<|start|>assistant`` up to ``<|return|>`` or ``<|call|>``. An example is the prompt of the turn's last step
and what was sampled in it; learnt is what the model sampled in any step of the turn, and nothing else. What
the ids are trained with it does not know.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ossia.errors import HarmonyError, InputError
from ossia.harmony.formats.chat import conversation_from_chat
from ossia.harmony.formats.fields import as_list, as_object, effort_of, text_of, wrong
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.messages import Conversation, Message
from ossia.harmony.parse import parse
from ossia.harmony.render import assistant_opening, declares_functions, drop_finished_analysis, render_message
from ossia.harmony.schema import SchemaMode
from ossia.tokenizer.base import Tokenizer

NOT_LEARNT = -100
"""The label of a position whose token is no target, as torch's cross entropy ignores it."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One turn: `labels` repeats `input_ids` where the token was sampled and is NOT_LEARNT elsewhere.

    Not shifted: position n is the target of what comes before it, as transformers expects labels.
    """

    input_ids: list[int]
    labels: list[int]

    def as_dict(self) -> dict[str, list[int]]:
        """The two columns of a data set."""
        return {"input_ids": self.input_ids, "labels": self.labels}


def training_examples(
    conversation: Conversation, tok: Tokenizer, *, schema: SchemaMode = "full"
) -> list[TrainingExample]:
    """Return one example per assistant turn of `conversation`, in order.

    Analysis of earlier turns is dropped as inference drops it. Messages that remember their ids are learnt as
    they were sampled. The turn's final ends in ``<|return|>``, unless it was cut off. A turn without a final
    is learnt as far as it was sampled: without remembered ids nothing says how its last message ended, so
    only a call has its end learnt. `schema` is how inference describes tools, as Ossia's chats do by default.
    Raises what `render_message` raises.
    """
    view = _View(conversation.messages, tok, schema)
    return [view.example(start, end) for start, end in _turns(conversation.messages)]


def training_rows(
    rows: Iterable[Mapping[str, Any]],
    tok: Tokenizer,
    *,
    schema: SchemaMode = "full",
    last_turn_only: bool = False,
) -> Iterator[dict[str, list[int]]]:
    """Yield ``{"input_ids", "labels"}`` for every assistant turn of every row.

    A row holds `messages`, and if it likes `tools` and `reasoning_effort`, as `conversation_from_chat` reads
    them; or Harmony text as `text`. A null in an object is left out, since tables pad with it; in arguments
    and schemas that are JSON text it stays. `last_turn_only`: for rows whose earlier turns have lost
    their reasoning, and would teach to answer without.

    Raises InputError naming the row and the place in it, for malformed Harmony too, and for a row in which
    there is nothing to learn.
    """
    for number, row in enumerate(rows):
        try:
            conversation = _conversation(row, tok)
            examples = training_examples(conversation, tok, schema=schema)
            if not examples:
                raise wrong("the row", "no assistant message to learn", 0, 1, "Leave the row out.")
        except InputError as error:
            message, limit, remedy = f"rows[{number}]: {error.message}", error.limit, error.remedy
            raise InputError(message, value=error.value, limit=limit, remedy=remedy) from error
        for example in examples[-1:] if last_turn_only else examples:
            yield example.as_dict()


def _conversation(row: Mapping[str, Any], tok: Tokenizer) -> Conversation:
    fields = as_object(row, "the row")
    if fields.get("messages") is not None:
        effort = effort_of(fields.get("reasoning_effort"), "reasoning_effort")
        messages = as_list(_unpadded(fields["messages"]), "messages")
        return conversation_from_chat(messages, _unpadded(fields.get("tools")), effort=effort)
    text = text_of(fields, "text", "the row")
    if text is None:
        limit = ("messages", "text")
        raise wrong("the row", "neither messages nor text", list(fields), limit, "Rename the column.")
    try:
        messages, _ = parse(ids_from_text(text.removesuffix("\n"), tok), tok, None, strict=True)
    except HarmonyError as error:
        remedy = "Correct the text: `ossia harmony lint` shows all that is wrong with it."
        raise wrong("text", error.message, error.value, error.limit, remedy) from error
    return Conversation(tuple(messages))


def _unpadded(value: Any) -> Any:
    """`value` without the nulls of its objects."""
    if isinstance(value, Mapping):
        fields = cast(Mapping[str, Any], value)
        return {key: _unpadded(item) for key, item in fields.items() if item is not None}
    return [_unpadded(item) for item in cast(list[Any], value)] if isinstance(value, list) else value


def _turns(messages: Sequence[Message]) -> Iterator[tuple[int, int]]:
    """Where each turn starts and the index of the last message sampled in it.

    What ends a turn is what ends it for the drop rule, so that inside a turn nothing is dropped. A turn
    that the user cut off ends before the user's message.
    """
    start, last = 0, None
    for at, message in enumerate(messages):
        if message.role == "assistant":
            last = at
            if message.is_final:
                yield start, at
                start, last = at + 1, None
        elif message.role == "user" and last is not None:
            yield start, last
            start, last = at, None
    if last is not None:
        yield start, last


class _View:
    """A conversation's messages, as inference sampled them: which of them a prompt opened."""

    def __init__(self, messages: Sequence[Message], tok: Tokenizer, schema: SchemaMode) -> None:
        self._tok = tok
        self._schema: SchemaMode = schema
        self._opening = assistant_opening(tok)
        self._opened: list[bool] = []
        self._messages: list[Message] = []
        self._rendered: dict[tuple[int, bool], list[int]] = {}
        for message in messages:
            self._take(message)

    def example(self, start: int, end: int) -> TrainingExample:
        """The turn from message `start` to message `end`, after what inference saw of the earlier ones."""
        functions = declares_functions(self._messages[:end])
        draft = _Draft()
        for message in drop_finished_analysis(self._messages[:start]):
            draft.add(self._render(message, functions), learnt=False)
        for at in range(start, end):
            message = self._messages[at]
            ids = self._render(message, functions)
            if message.role == "assistant":
                self._add(draft, at, ids[:-1])
                draft.add(ids[-1:], learnt=self._end(message) == ids[-1:])
            else:
                draft.add(ids, learnt=False)
        self._add(draft, end, self._render(self._messages[end], functions)[:-1])
        draft.add(self._last_end(self._messages[end]), learnt=True)
        return TrainingExample(draft.ids, draft.labels)

    def _take(self, message: Message) -> None:
        """Note a message; one that a prompt opened otherwise than prompts do was never sampled so."""
        opened = message.role == "assistant" and self._step_is_over()
        sampled = message.sampled_in(self._tok.name)
        if opened and sampled is not None and [*sampled.header_ids[: len(self._opening)]] != self._opening:
            message = replace(message, sampled=None)
        self._opened.append(opened)
        self._messages.append(message)

    def _step_is_over(self) -> bool:
        """Whether what an assistant says next begins with a prompt's opening: sampling went on only after
        ``<|end|>``, and not after a final."""
        last = self._messages[-1] if self._messages else None
        if last is None or last.role != "assistant" or last.is_final:
            return True
        return self._end(last) != [self._tok.markers.end]

    def _end(self, message: Message) -> list[int]:
        """How an assistant's message ended when it was sampled, if something followed it."""
        if (sampled := message.sampled_in(self._tok.name)) is not None:
            return [*sampled.end_ids]
        return [self._tok.markers.call if message.is_call else self._tok.markers.end]

    def _last_end(self, message: Message) -> list[int]:
        """How the last message of a turn ended. A final that stands in history ends in ``<|end|>`` there."""
        sampled = message.sampled_in(self._tok.name)
        if message.is_final and (sampled is None or sampled.end_ids):
            return [self._tok.markers.return_]
        return self._end(message) if sampled is not None or message.is_call else []

    def _add(self, draft: "_Draft", at: int, ids: list[int]) -> None:
        """What was sampled of message `at`, its end apart."""
        given = len(self._opening) if self._opened[at] else 0
        draft.add(ids[:given], learnt=False)
        draft.add(ids[given:], learnt=True)

    def _render(self, message: Message, functions: bool) -> list[int]:
        key = id(message), functions and message.role == "system"
        if key not in self._rendered:
            ids = render_message(message, self._tok, valid_functions=key[1], schema=self._schema)
            self._rendered[key] = ids
        return self._rendered[key]


@dataclass(slots=True)
class _Draft:
    """An example being put together."""

    ids: list[int] = field(default_factory=list[int])
    labels: list[int] = field(default_factory=list[int])

    def add(self, ids: list[int], *, learnt: bool) -> None:
        self.ids += ids
        self.labels += ids if learnt else [NOT_LEARNT] * len(ids)
