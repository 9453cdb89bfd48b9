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

    def take(self) -> str:
        typed, self._typed = self._typed, ""
        return _CONTROLS.sub("", _ESCAPES.sub("", typed)).strip("\n")


@contextmanager
def listening(stream: IO[Any], typed: TypeAhead) -> Generator[None]:
    """Read `stream`, a terminal, key by key and without echo meanwhile; Ctrl-C still interrupts."""
    descriptor = stream.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()
    tty.setcbreak(descriptor, termios.TCSADRAIN)
    loop.add_reader(descriptor, lambda: typed.feed(os.read(descriptor, 4096)))
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
