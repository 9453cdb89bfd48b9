"""Messages and conversations as JSON values, and back with everything checked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ossia.agent.effort import parse_effort
from ossia.errors import InputError
from ossia.harmony.header import check_header
from ossia.harmony.messages import Effort, Message, Role

FORMAT = "ossia-conversation"
VERSION = 1
_ROLES = ("user", "assistant", "tool")
_OPTIONAL = ("name", "channel", "recipient", "content_type")


@dataclass(frozen=True, slots=True)
class SavedChat:
    """What a saved conversation holds. Functions cannot be saved: `tools` are the names of those it had."""

    model: str
    effort: Effort
    system: str | None
    tools: tuple[str, ...]
    messages: tuple[Message, ...]


def message_to_dict(message: Message) -> dict[str, Any]:
    """A message with text as a JSON object: role, content, and whatever else is set."""
    fields: dict[str, Any] = {"role": message.role, "content": message.text}
    fields |= {name: value for name in _OPTIONAL if (value := getattr(message, name)) is not None}
    if message.recipient_in != "author":
        fields["recipient_in"] = message.recipient_in
    return fields


def message_from_dict(value: object) -> Message:
    """The message `message_to_dict` wrote; raises InputError for anything else."""
    fields = _object(value, "a message")
    role, content = fields.get("role"), fields.get("content")
    if role not in _ROLES or not isinstance(content, str):
        raise _unreadable(f"a message of role {role!r} with content of type {type(content).__name__}")
    optional = {name: _text(fields.get(name), name) for name in _OPTIONAL}
    place = fields.get("recipient_in", "author")
    if place not in ("author", "channel"):
        raise _unreadable(f"a recipient in {place!r}")
    return Message(cast(Role, role), content, **optional, recipient_in=place)


def chat_to_dict(saved: SavedChat) -> dict[str, Any]:
    """A conversation as a JSON object with format and version."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": saved.model,
        "effort": saved.effort,
        "system": saved.system,
        "tools": list(saved.tools),
        "messages": [message_to_dict(message) for message in saved.messages],
    }


def chat_from_dict(value: object) -> SavedChat:
    """The conversation `chat_to_dict` wrote; raises InputError for anything else, naming what is wrong."""
    fields = _object(value, "a conversation")
    if (fields.get("format"), fields.get("version")) != (FORMAT, VERSION):
        raise _unreadable(f"format {fields.get('format')!r}, version {fields.get('version')!r}")
    messages, tools = fields.get("messages"), fields.get("tools", [])
    if not isinstance(messages, list) or not isinstance(tools, list):
        raise _unreadable("no list of messages or tools")
    return SavedChat(
        _text(fields.get("model"), "model") or "",
        parse_effort(_text(fields.get("effort"), "effort") or "medium"),
        _text(fields.get("system"), "system"),
        tuple(str(name) for name in cast(list[object], tools)),
        check_history(message_from_dict(m) for m in cast(list[object], messages)),
    )


def check_history(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the messages of a history; raises InputError unless all are a user's, assistant's or tool's."""
    history: Sequence[Message] = tuple(messages)
    for message in history:
        if message.role not in _ROLES or not isinstance(message.content, str):
            raise _unreadable(f"a {message.role} message in its history")
        check_header(message)
    return tuple(history)


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unreadable(f"{type(value).__name__} where {what} should be")
    return cast(dict[str, Any], value)


def _text(value: object, name: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _unreadable(f"{name} of type {type(value).__name__}")
    return value


def _unreadable(what: str) -> InputError:
    return InputError(
        f"this is no saved conversation: {what}",
        value=what,
        limit=f"{FORMAT}, version {VERSION}",
        remedy="Give what Chat.to_dict returned.",
    )
