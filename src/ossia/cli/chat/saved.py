"""Conversations in files: written only when the user asks, readable by the owner only."""

import json
from pathlib import Path
from typing import Any, cast

from ossia.agent.saved import FORMAT, SavedChat, chat_from_dict, chat_to_dict
from ossia.cli.app import App
from ossia.cli.messages import M
from ossia.errors import InputError
from ossia.hub.cache import write_atomic
from ossia.tokenizer.base import Tokenizer


def save(path: Path, chat: SavedChat, app: App) -> None:
    """Write `chat` to `path` as JSON, mode 0600, whole or not at all.

    A file that is no saved conversation is never overwritten. Raises InputError, DiskSpaceError.
    """
    if path.exists() and not _is_ours(path):
        raise InputError(app.say(M.NOT_OURS, path=path), value=str(path), remedy=app.say(M.OTHER_NAME))
    text = json.dumps(chat_to_dict(chat), ensure_ascii=False, indent=1) + "\n"
    try:
        write_atomic(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise _cannot_open(path, error, app) from error


def load(path: Path, app: App, tok: Tokenizer | None = None) -> SavedChat:
    """Read a conversation that `save` wrote, with its ids where they are of `tok`'s vocabulary; raises
    InputError for anything else."""
    try:
        return chat_from_dict(json.loads(path.read_text("utf-8")), tok)
    except OSError as error:
        raise _cannot_open(path, error, app) from error
    except (ValueError, RecursionError, InputError) as error:
        why = error.message if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(
            app.say(M.NOT_SAVED_HERE, path=path, why=why), value=str(path), remedy=app.say(M.GIVE_SAVED)
        ) from error


def _is_ours(path: Path) -> bool:
    try:
        document: Any = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and cast(dict[str, Any], document).get("format") == FORMAT


def _cannot_open(path: Path, error: OSError, app: App) -> InputError:
    why = error.strerror or str(error)
    return InputError(
        app.say(M.CANNOT_OPEN, path=path, why=why), value=str(path), remedy=app.say(M.OTHER_NAME)
    )
