"""Conversations in files: written only when the user asks, readable by the owner only."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ossia.cli.app import App
from ossia.cli.messages import M
from ossia.errors import InputError
from ossia.harmony.messages import EFFORTS, Effort, Message, Role
from ossia.hub.cache import write_atomic

FORMAT = "ossia-conversation"
_ROLES = ("user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file holds: the settings of the chat and its messages, without system and developer ones."""

    model: str
    effort: Effort
    system: str | None
    tools: tuple[str, ...]
    messages: tuple[Message, ...]


def save(path: Path, saved: Saved, app: App) -> None:
    """Write `saved` to `path` as JSON, mode 0600, whole or not at all.

    A file that is no saved conversation is never overwritten. Raises InputError, DiskSpaceError.
    """
    if path.exists() and not _is_ours(path):
        raise InputError(app.say(M.NOT_OURS, path=path), value=str(path), remedy=app.say(M.OTHER_NAME))
    document = {
        "format": FORMAT,
        "version": 1,
        "model": saved.model,
        "effort": saved.effort,
        "system": saved.system,
        "tools": list(saved.tools),
        "messages": [_to_dict(message) for message in saved.messages],
    }
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    try:
        write_atomic(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise _cannot_open(path, error, app) from error


def load(path: Path, app: App) -> Saved:
    """Read a conversation that `save` wrote; raises InputError for anything else."""
    try:
        document: Any = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT or document["version"] != 1 or document["effort"] not in EFFORTS:
            raise ValueError(f"no {FORMAT} of version 1")
        return Saved(
            str(document["model"]),
            document["effort"],
            _optional(document["system"]),
            tuple(str(name) for name in document["tools"]),
            tuple(_from_dict(message) for message in document["messages"]),
        )
    except OSError as error:
        raise _cannot_open(path, error, app) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            app.say(M.NOT_SAVED_HERE, path=path, why=f"{type(error).__name__}: {error}"),
            value=str(path),
            remedy=app.say(M.GIVE_SAVED),
        ) from error


def _is_ours(path: Path) -> bool:
    try:
        document: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(document, dict) and cast(dict[str, Any], document).get("format") == FORMAT


def _cannot_open(path: Path, error: OSError, app: App) -> InputError:
    why = error.strerror or str(error)
    return InputError(
        app.say(M.CANNOT_OPEN, path=path, why=why), value=str(path), remedy=app.say(M.OTHER_NAME)
    )


def _to_dict(message: Message) -> dict[str, str]:
    fields = {
        "role": message.role,
        "name": message.name,
        "channel": message.channel,
        "recipient": message.recipient,
        "content_type": message.content_type,
        "content": message.text,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _from_dict(value: dict[str, Any]) -> Message:
    if value["role"] not in _ROLES or not isinstance(value["content"], str):
        raise ValueError(f"a message of role {value['role']!r}")
    return Message(
        cast(Role, value["role"]),
        value["content"],
        name=_optional(value.get("name")),
        channel=_optional(value.get("channel")),
        recipient=_optional(value.get("recipient")),
        content_type=_optional(value.get("content_type")),
    )


def _optional(value: object) -> str | None:
    return None if value is None else str(value)
