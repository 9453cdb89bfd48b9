"""What Ollama's clients say, as Harmony conversations: messages of a chat, or a prompt with its context."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from ossia.agent.events import Note
from ossia.agent.model import Model
from ossia.errors import InputError
from ossia.harmony.formats.fields import as_list, as_object, checked, needed, text_of, wrong
from ossia.harmony.grammar import ResponseFormat
from ossia.harmony.header import CONSTRAIN
from ossia.harmony.messages import Conversation, DeveloperContent, Effort, Message, tool_result, user
from ossia.harmony.parse import parse
from ossia.harmony.render import render_conversation
from ossia.server.content import ContentReader
from ossia.server.declared import Declared, declare
from ossia.server.opening import open_conversation

_OPENING = ("system", "developer")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What is to be answered. `before`: the ids of what came before it, as `context_of` gave them. `notes`
    name what the model cannot see."""

    instructions: tuple[str, ...]
    messages: tuple[Message, ...]
    declared: Declared
    before: tuple[int, ...] = ()
    notes: tuple[Note, ...] = ()

    def conversation(
        self, model: Model, effort: Effort, today: date, response_format: ResponseFormat | None = None
    ) -> Conversation:
        """The same for a model; raises InputError for ids it has not."""
        opening = open_conversation(
            model.card,
            effort=effort,
            today=today,
            instructions=self.instructions,
            declared=self.declared,
            response_format=response_format,
        )
        return Conversation((*opening, *_earlier(self.before, model), *self.messages))


def read_chat(body: Mapping[str, Any]) -> Dialogue:
    """The dialogue of /api/chat; raises InputError."""
    reader = _Reader(declare(body.get("tools")))
    for at, message in enumerate(as_list(body.get("messages"), "messages")):
        reader.take(as_object(message, f"messages[{at}]"), f"messages[{at}]")
    return reader.dialogue()


def read_prompt(body: Mapping[str, Any]) -> Dialogue:
    """The dialogue of /api/generate; raises InputError for what only a model without a chat format takes."""
    _refuse_other_models_ways(body)
    reader = _Reader(Declared())
    if system := text_of(body, "system", "request"):
        reader.take({"role": "system", "content": system}, "request")
    prompt = {"role": "user", "content": body.get("prompt"), "images": body.get("images")}
    reader.take(prompt, "request")
    return reader.dialogue(_ids(body.get("context")))


def context_of(model: Model, conversation: Conversation) -> list[int]:
    """The ids of what was said, without its opening and without any thought, which not every caller may see:
    what the next prompt may bring along."""
    said = (m for m in conversation.messages if m.role not in _OPENING and m.channel != "analysis")
    return render_conversation(Conversation(tuple(said)), model.tok)


class _Reader:
    """Takes a chat's messages in their order."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared
        self._content = ContentReader()
        self._instructions: list[str] = []
        self._messages: list[Message] = []
        self._unanswered: list[tuple[str | None, str]] = []  # a call's id and recipient

    def dialogue(self, before: tuple[int, ...] = ()) -> Dialogue:
        notes = (*self._declared.warnings, *self._content.notes)
        return Dialogue(tuple(self._instructions), tuple(self._messages), self._declared, before, notes)

    def take(self, message: Mapping[str, Any], where: str) -> None:
        """One message; raises InputError."""
        role = needed(message, "role", where).lower()
        text = self._text(message, where)
        if role in _OPENING:
            self._instruct(text)
        elif role == "user":
            self._messages.append(user(text))
        elif role == "assistant":
            self._take_assistant(message, text, where)
        elif role == "tool":
            self._messages.append(checked(tool_result(self._answered(message, where), text), where))
        else:
            raise wrong(where, f"invalid role: {role!r}", role, ("system", "user", "assistant", "tool"))

    def _text(self, message: Mapping[str, Any], where: str) -> str:
        """A message's text, behind a line for each image the model does not see."""
        images = [{"type": "image"} for _ in as_list(message.get("images"), f"{where}.images")]
        text = self._content.text(message.get("content"), f"{where}.content") or ""
        if not images:
            return text
        seen = self._content.text(images, f"{where}.images") or ""
        return f"{seen}\n{text}" if text else seen

    def _instruct(self, text: str) -> None:
        if self._messages:
            self._messages.append(Message("developer", DeveloperContent(text)))
        else:
            self._instructions.append(text)

    def _take_assistant(self, message: Mapping[str, Any], text: str, where: str) -> None:
        thought = self._content.text(message.get("thinking"), f"{where}.thinking")
        calls = as_list(message.get("tool_calls"), f"{where}.tool_calls")
        if thought:
            self._messages.append(Message("assistant", thought, channel="analysis"))
        if text:
            channel = "commentary" if calls else "final"
            self._messages.append(Message("assistant", text, channel=channel))
        for at, call in enumerate(calls):
            place = f"{where}.tool_calls[{at}]"
            self._call(as_object(call, place), place)

    def _call(self, call: Mapping[str, Any], where: str) -> None:
        function = as_object(call.get("function"), f"{where}.function")
        recipient = self._declared.recipient_of(needed(function, "name", where))
        arguments = function.get("arguments")
        body = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
        message = Message("assistant", body, None, "commentary", recipient, f"{CONSTRAIN}json")
        self._messages.append(checked(message, where))
        self._unanswered.append((text_of(call, "id", where), recipient))

    def _answered(self, message: Mapping[str, Any], where: str) -> str:
        """The tool that a result is of: by the call's id or the tool's name, else the first that waits."""
        call_id = text_of(message, "tool_call_id", where)
        name = text_of(message, "tool_name", where) or text_of(message, "name", where)
        wanted = None if name is None else self._declared.recipient_of(name)
        for at, (other_id, recipient) in enumerate(self._unanswered):
            if (call_id and call_id == other_id) or wanted in (None, recipient):
                del self._unanswered[at]
                return recipient
        if wanted is None:
            raise wrong(where, "a result without a call", None, "a tool_name", "Name the tool as tool_name.")
        return wanted


def _earlier(ids: Sequence[int], model: Model) -> list[Message]:
    size = max(model.tok.vocab_size, *model.tok.special_tokens.values())
    if beyond := [i for i in ids if not 0 <= i <= size]:
        raise InputError(f"context holds {beyond[0]}, which is no token", value=beyond[0], limit=(0, size))
    messages, _ = parse(ids, model.tok)
    return [message for message in messages if message.role not in _OPENING]


def _ids(value: object) -> tuple[int, ...]:
    ids = as_list(value, "context")
    if other := [i for i in ids if not isinstance(i, int) or isinstance(i, bool)]:
        limit = "what an answer gave as context"
        raise InputError("context is no list of tokens", value=other[0], limit=limit)
    return tuple(ids)


def _refuse_other_models_ways(body: Mapping[str, Any]) -> None:
    """A raw prompt and text to fill in are not what gpt-oss was trained on."""
    name = body.get("model") or body.get("name")
    if body.get("suffix"):
        raise InputError(f'"{name}" does not support insert', value="suffix", remedy="Leave out the suffix.")
    if body.get("raw"):
        raise InputError(
            f'"{name}" does not support raw prompts: it speaks Harmony alone',
            value="raw",
            remedy="Leave out raw, and give the prompt as plain text.",
        )
