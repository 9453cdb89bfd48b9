"""A request's `input` as messages: items of every type, leniently.

What the model cannot read is named in its place, items of an unknown type are shown where they carry text; a
note says so. What it does not know: the request around the items.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ossia.agent.events import Note
from ossia.errors import InputError, NotFoundError
from ossia.harmony.formats.draft import Draft
from ossia.harmony.formats.fields import as_object, needed, text_of, wrong
from ossia.harmony.formats.responses import CALLS, RESULTS, calls_follow
from ossia.harmony.messages import Message
from ossia.server.content import ContentReader, well_formed
from ossia.server.declared import Declared

_PHASES = (None, "commentary", "final_answer")
ROLES = ("user", "assistant", "system", "developer")

Unseal = Callable[[str], Sequence[Message]]


@dataclass(frozen=True, slots=True)
class History:
    """What was said before a request, as its conversation goes on from there.

    `lead`: what the application had told before anybody spoke; `calls`: whom the call of each id was for.
    """

    lead: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()
    calls: Mapping[str, str] = field(default_factory=dict[str, str])


class InputReader:
    """Reads items behind a history; `notes` name what was not shown."""

    def __init__(self, declared: Declared, unseal: Unseal, history: History | None = None) -> None:
        history = history or History()
        self._declared = declared
        self._unseal = unseal
        self._content = ContentReader()
        self._notes: list[Note] = []
        self._draft = Draft()
        for text in history.lead:
            self._draft.instruct(text)
        self._draft.take(history.messages)
        self._draft.know_calls(history.calls)

    @property
    def notes(self) -> tuple[Note, ...]:
        return (*self._content.notes, *self._notes)

    def history(self) -> History:
        """Everything that was read, with what was before."""
        return History(self._draft.instructions, self._draft.messages, self._draft.calls)

    def read(self, value: object, where: str) -> None:
        """Items, or text in place of a user's message; nothing for None. Raises InputError."""
        if value is None or value == "":
            return
        if isinstance(value, str):
            self._draft.ask(well_formed(value, where), None, where)
            return
        if isinstance(value, Mapping):
            self.read([cast(object, value)], where)
            return
        if not isinstance(value, Sequence) or isinstance(value, bytes):
            raise wrong(where, f"{type(value).__name__} where items should be", value, "text, or a list")
        items = [as_object(item, f"{where}[{at}]") for at, item in enumerate(cast(Sequence[object], value))]
        for at, (item, follows) in enumerate(zip(items, calls_follow(items), strict=True)):
            self._take(item, f"{where}[{at}]", follows)

    def _take(self, item: Mapping[str, Any], where: str, call_follows: bool) -> None:
        kind = item.get("type")
        if kind == "message" or (kind is None and "role" in item):
            self._take_message(item, where, call_follows)
        elif isinstance(item.get("encrypted_content"), str):
            self._take_sealed(item["encrypted_content"], where)
        elif kind == "reasoning":
            self._take_reasoning(item, where)
        elif kind in CALLS:
            self._take_call(item, where)
        elif kind in RESULTS:
            text = self._output(item.get("output"), f"{where}.output")
            call_id, name = text_of(item, "call_id", where), text_of(item, "name", where)
            self._draft.result(text, call_id, name, where)
        elif kind == "item_reference":
            raise NotFoundError(
                f"{where}: no item {item.get('id')!r} is stored here",
                value=item.get("id"),
                remedy="Send the item itself, or store responses.",
                param=where,
            )
        else:
            self._take_unknown(item, where)

    def _take_message(self, item: Mapping[str, Any], where: str, call_follows: bool) -> None:
        role = item.get("role")
        text = self._content.text(item.get("content"), f"{where}.content")
        if role not in ROLES:
            raise wrong(f"{where}.role", f"unknown role {role!r}", role, ROLES)
        if text is None:
            raise wrong(f"{where}.content", "a message without content", None, "text, or a list of parts")
        phase = item.get("phase")
        if role == "user":
            self._draft.ask(text, None, where)
        elif role != "assistant":
            self._draft.instruct(text)
        elif phase not in _PHASES:
            raise wrong(f"{where}.phase", f"unknown phase {phase!r}", phase, _PHASES)
        elif phase == "commentary" or (phase is None and call_follows):
            self._draft.announce(text)
        else:
            self._draft.answer(text)

    def _take_sealed(self, blob: str, where: str) -> None:
        try:
            self._draft.take(self._unseal(blob))
        except InputError as error:
            error.param = f"{where}.encrypted_content"
            raise

    def _take_reasoning(self, item: Mapping[str, Any], where: str) -> None:
        text = self._content.text(item.get("content"), f"{where}.content")
        text = text or self._content.text(item.get("summary"), f"{where}.summary")
        if text:
            self._draft.think(text)

    def _take_call(self, item: Mapping[str, Any], where: str) -> None:
        plain = item["type"] == "custom_tool_call"
        name, call_id = needed(item, "name", where), needed(item, "call_id", where)
        text = self._output(item.get("input" if plain else "arguments"), where)
        recipient = self._declared.recipient_of(name, text_of(item, "namespace", where))
        self._draft.call_to(recipient, text, call_id, where, json=not plain)

    def _output(self, value: object, where: str) -> str:
        """A tool's input or output as text; JSON stays JSON."""
        if isinstance(value, str | list) and value != []:
            return self._content.text(cast(object, value), where) or ""
        return "" if value is None else json.dumps(value, ensure_ascii=False)

    def _take_unknown(self, item: Mapping[str, Any], where: str) -> None:
        kind = item.get("type")
        for key in ("text", "content", "output"):
            if isinstance(item.get(key), str | list) and (text := self._content.text(item[key], where)):
                self._draft.ask(text, None, where)
                self._notes.append(Note("unknown-item", f"{where}: {kind!r} is shown as a user's text"))
                return
        self._notes.append(Note("unknown-item", f"{where}: {kind!r} means nothing here, and is left out"))
