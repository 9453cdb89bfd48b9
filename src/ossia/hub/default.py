"""Which model to use when none is named: OSSIA_MODEL, else the one last chosen, else pocket.

A synthetic checkpoint (random weights for tests) can be asked for by name but never becomes the default.
"""

import json
from pathlib import Path
from typing import Any, cast

from ossia.errors import OssiaError
from ossia.hub.cache import write_atomic
from ossia.hub.names import POCKET
from ossia.hub.sources import FoundModel, locate
from ossia.settings import Settings


def choose_default(explicit: str | None, settings: Settings) -> str:
    """The model's name: `explicit`, else OSSIA_MODEL, else the last chosen if still usable, else pocket."""
    return explicit or settings.model or _remembered(settings) or POCKET


def remember(model: FoundModel, settings: Settings) -> bool:
    """Make `model` the default of the next run; returns False (and writes nothing) for a synthetic one.

    Writes ``config_dir/model.json``, atomically. A model of a folder is remembered by its absolute path.
    """
    if model.synthetic:
        return False
    name = str(model.path) if model.source == "folder" else model.name
    if _read(settings) != name:
        write_atomic(_file(settings), json.dumps({"model": name}, ensure_ascii=False).encode() + b"\n")
    return True


def forget(settings: Settings) -> None:
    """Remember no model; the next default is pocket again."""
    _file(settings).unlink(missing_ok=True)


def _remembered(settings: Settings) -> str | None:
    name = _read(settings)
    if not name:
        return None
    try:
        model = locate(name, settings)
    except OssiaError:  # removed since: the default falls back rather than fails
        return None
    return name if model.loadable and not model.synthetic else None


def _read(settings: Settings) -> str | None:
    try:
        value = json.loads(_file(settings).read_bytes())
    except (OSError, ValueError):
        return None
    name = cast(dict[str, Any], value).get("model") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _file(settings: Settings) -> Path:
    return settings.config_dir / "model.json"
