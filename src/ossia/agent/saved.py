"""Messages and conversations as JSON values, and back with everything checked.

A saved message keeps the ids it was sampled as, so that a conversation taken up again renders as it did. They
are never taken on trust: only ids that read as exactly this message, with no slip, are kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ossia.agent.effort import parse_effort
from ossia.errors import InputError
from ossia.harmony.header import check_header
from ossia.harmony.messages import Effort, Message, Role
from ossia.harmony.parse import parse
from ossia.tokenizer.base import Tokenizer

FORMAT = "ossia-conversation"
VERSION = 2  # 1 had no ids
_ROLES = ("user", "assistant", "tool")
_PARTS = ("header", "body", "end")  # of a message's ids
_OPTIONAL = ("name", "channel", "recipient", "content_type")


@dataclass(frozen=True, slots=True)
class SavedChat:
    """What a saved conversation holds. Functions cannot be saved: `tools` are the names of those it had."""

    model: str
    effort: Effort
    system: str | None
    tools: tuple[str, ...]
    messages: tuple[Message, ...]


def message_to_dict(message: Message, *, ids: bool = False) -> dict[str, Any]:
    """A message with text as a JSON object: role, content, and whatever else is set; with `ids` also the ones
    it was sampled as, where it has any."""
    fields: dict[str, Any] = {"role": message.role, "content": message.text}
    fields |= {name: value for name in _OPTIONAL if (value := getattr(message, name)) is not None}
    if message.recipient_in != "author":
        fields["recipient_in"] = message.recipient_in
    sampled = message.sampled
    if ids and sampled is not None and message.sampled_in(sampled.vocabulary) is not None:
        parts = {name: list(getattr(sampled, f"{name}_ids")) for name in _PARTS}
        fields["ids"] = {"vocabulary": sampled.vocabulary, **parts}
    return fields


def message_from_dict(value: object, tok: Tokenizer | None = None) -> Message:
    """The message `message_to_dict` wrote; raises InputError for anything else.

    Its ids are kept where `tok` has their vocabulary and reads them as this message. Others are dropped:
    somebody may have edited the text.
    """
    fields = _object(value, "a message")
    role, content = fields.get("role"), fields.get("content")
    if role not in _ROLES or not isinstance(content, str):
        raise _unreadable(f"a message of role {role!r} with content of type {type(content).__name__}")
    place = fields.get("recipient_in", "author")
    if place not in ("author", "channel"):
        raise _unreadable(f"a recipient in {place!r}")
    name, channel, recipient, kind = (_text(fields.get(name), name) for name in _OPTIONAL)
    message = Message(cast(Role, role), content, name, channel, recipient, kind, place)
    return _with_ids(message, fields["ids"], tok) if "ids" in fields else message


def _with_ids(message: Message, value: object, tok: Tokenizer | None) -> Message:
    fields = _object(value, "a message's ids")
    header, body, end = (_ids(fields.get(name), name) for name in _PARTS)
    if _text(fields.get("vocabulary"), "vocabulary") is None:
        raise _unreadable("ids without their vocabulary")
    if tok is None or fields["vocabulary"] != tok.name:
        return message
    stop = end or (tok.markers.call if message.is_call else tok.markers.end,)
    read, slips = parse((*header, *body, *stop), tok)
    if slips or len(read) != 1 or read[0] != message:
        return message
    sampled = read[0].sampled_in(tok.name)
    parts = None if sampled is None else (sampled.header_ids, sampled.body_ids, sampled.end_ids)
    return message.with_ids(header, body, end, tok.name) if parts == (header, body, stop) else message


def _ids(value: object, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(i) is int for i in cast(list[object], value)):
        raise _unreadable(f"{name} ids that are no list of integers")
    return tuple(cast(list[int], value))


def chat_to_dict(saved: SavedChat) -> dict[str, Any]:
    """A conversation as a JSON object with format and version."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "model": saved.model,
        "effort": saved.effort,
        "system": saved.system,
        "tools": list(saved.tools),
        "messages": [message_to_dict(message, ids=True) for message in saved.messages],
    }


def chat_from_dict(value: object, tok: Tokenizer | None = None) -> SavedChat:
    """The conversation `chat_to_dict` wrote; raises InputError for anything else, naming what is wrong.

    With `tok` its messages keep the ids they were sampled as, where these are of its vocabulary.
    """
    fields = _object(value, "a conversation")
    if fields.get("format") != FORMAT or fields.get("version") not in range(1, VERSION + 1):
        raise _unreadable(f"format {fields.get('format')!r}, version {fields.get('version')!r}")
    messages, tools = fields.get("messages"), fields.get("tools", [])
    if not isinstance(messages, list) or not isinstance(tools, list):
        raise _unreadable("no list of messages or tools")
    return SavedChat(
        _text(fields.get("model"), "model") or "",
        parse_effort(_text(fields.get("effort"), "effort") or "medium"),
        _text(fields.get("system"), "system"),
        tuple(str(name) for name in cast(list[object], tools)),
        check_history(message_from_dict(m, tok) for m in cast(list[object], messages)),
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
        limit=f"{FORMAT}, version 1 to {VERSION}",
        remedy="Give what Chat.to_dict returned.",
    )
