"""What was typed, kept for the arrow keys: a private file, or nothing at all.

The file is made with mode 0600 from the start, whatever the umask; OSSIA_HISTORY=off keeps it from being
written or read. It holds what the user typed, never an answer.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit.history import History, InMemoryHistory

from ossia.settings import Settings

_KEPT = 1000  # entries offered again; the file is cut to them when it has grown to twice as many


def open_history(settings: Settings) -> History:
    """Return the private history of `settings`, or one that lives in memory only when it is switched off."""
    return PrivateHistory(settings.config_dir / "history.jsonl") if settings.history else InMemoryHistory()


class PrivateHistory(History):
    """One JSON string per line, newest last, readable by its owner only.

    A history that cannot be read or written is no reason to stop a chat: it is then kept in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        entries = self._read()
        if len(entries) > 2 * _KEPT:
            self._rewrite(entries[-_KEPT:])
        return reversed(entries[-_KEPT:])

    def store_string(self, string: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _open_private(self._path, os.O_APPEND) as handle:
                handle.write(_line(string))
        except OSError:
            return

    def _read(self) -> list[str]:
        try:
            lines = self._path.read_text("utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [entry for line in lines if (entry := _entry(line))]

    def _rewrite(self, entries: list[str]) -> None:
        temporary = self._path.with_suffix(".tmp")
        try:
            with _open_private(temporary, os.O_TRUNC) as handle:
                handle.writelines(map(_line, entries))
            temporary.replace(self._path)
        except OSError:
            return


def _open_private(path: Path, flags: int):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)
    os.fchmod(descriptor, 0o600)  # a file from elsewhere may be wider
    return os.fdopen(descriptor, "a" if flags & os.O_APPEND else "w", encoding="utf-8")


def _line(entry: str) -> str:
    return json.dumps(entry, ensure_ascii=True) + "\n"  # ASCII: lone surrogates cannot break the file


def _entry(line: str) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
