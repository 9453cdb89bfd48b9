"""Keys pressed while an answer streams: Ctrl-T is obeyed at once, typing is kept for the next prompt."""

import asyncio
import codecs
import os
import re
import termios
import tty
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import IO, Any

TOGGLE = "\x14"  # Ctrl-T
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class TypeAhead:
    """What was typed during an answer; `take()` hands it over as text without control keys."""

    def __init__(self, on_toggle: Callable[[], None]) -> None:
        self._on_toggle = on_toggle
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed = ""

    def feed(self, data: bytes) -> None:
        text = self._decoder.decode(data).replace("\r", "\n")
        for _ in range(text.count(TOGGLE)):
            self._on_toggle()
        self._typed += text

    def put(self, text: str) -> None:
        """Have `text` typed as if by the user."""
        self._typed += text

    def take(self) -> str:
        typed, self._typed = self._typed, ""
        return _CONTROLS.sub("", _ESCAPES.sub("", typed)).strip("\n")


@contextmanager
def key_by_key(stream: IO[Any]) -> Generator[None]:
    """Let `stream`, where it is a terminal, hand over keys one by one without echo; restore it at the end.

    Ctrl-C stays a signal. What is typed between two prompts thus waits, as it was typed, for the next one.
    """
    if not stream.isatty():
        yield
        return
    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor, termios.TCSADRAIN)
    attributes = termios.tcgetattr(descriptor)
    attributes[0] &= ~termios.ICRNL  # Enter stays Enter for the prompt that reads it later
    termios.tcsetattr(descriptor, termios.TCSADRAIN, attributes)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextmanager
def listening(stream: IO[Any], typed: TypeAhead) -> Generator[None]:
    """Hand what is typed on `stream`, where it is a terminal, to `typed` while the block runs."""
    if not stream.isatty():
        yield
        return
    descriptor, loop = stream.fileno(), asyncio.get_running_loop()
    loop.add_reader(descriptor, lambda: typed.feed(os.read(descriptor, 4096)))
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
