"""The server's log: one JSON object per line, never the text of prompts and answers unless asked for.

A request has one line, written when it has ended; an answer that outlives its request has one of its own.
"""

import logging
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Literal, TextIO, get_args

import orjson

from ossia.server.operations.record import Record

Level = Literal["debug", "info", "warning", "error", "off"]
LEVELS: tuple[Level, ...] = get_args(Level)
_LOGGERS = ("uvicorn.error", "ossia", "asyncio")


class Journal:
    """Writes to `stream` (standard error by default) what is at least as grave as `level`. `with_text`: also
    what was asked and answered."""

    def __init__(
        self, level: Level = "info", *, stream: TextIO | None = None, with_text: bool = False
    ) -> None:
        self._least = LEVELS.index(level)
        self._stream = stream
        self.with_text = with_text

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """Write a line; whoever reads the log having gone away is no reason to stop serving."""
        if LEVELS.index(level) < self._least:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = orjson.dumps({"time": now, "level": level, "event": event, **fields}, default=str)
        try:
            stream = self._stream or sys.stderr
            stream.write(line.decode() + "\n")
            stream.flush()
        except (OSError, ValueError):
            self._least = len(LEVELS)

    def request(self, record: Record) -> None:
        """The line of a request that has ended, or of an answer that outlived it."""
        quiet = record.path in ("/health", "/metrics") and (record.status or 0) < 400
        level: Level = "debug" if quiet else "error" if (record.status or 0) >= 500 else "info"
        self.write(level, "answer" if record.over else "request", **record.line())

    @contextmanager
    def collecting(self) -> Generator[None]:
        """Take what the server's rooms and libraries log into this log while the block runs."""
        loggers = [logging.getLogger(name) for name in _LOGGERS]
        before = [(logger, logger.handlers, logger.propagate, logger.level) for logger in loggers]
        for logger in loggers:
            logger.handlers, logger.propagate = [_Handler(self)], False
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, handlers, propagate, level in before:
                logger.handlers, logger.propagate = handlers, propagate
                logger.setLevel(level)


class _Handler(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        if record.levelno < logging.WARNING:
            level = "debug"
        fields: dict[str, Any] = {"message": record.getMessage().strip()}
        if record.exc_info and record.exc_info[1] is not None:
            fields["trace"] = "".join(traceback.format_exception(record.exc_info[1]))
        self._journal.write(level, record.name, **fields)
