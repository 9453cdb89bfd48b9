"""Text on its way to a terminal: control characters made visible, never obeyed.

A model or a tool may print anything, escape sequences included; a terminal must not act on them. What
goes to a file or a pipe is left as it is.
"""

import contextlib
import os
import sys
from typing import TextIO

_CONTROL_PICTURES = 0x2400
_REPLACEMENT = "\ufffd"


def _table() -> dict[int, str | None]:
    pictures: dict[int, str | None] = {code: chr(_CONTROL_PICTURES + code) for code in range(0x20)}
    del pictures[ord("\n")], pictures[ord("\t")]
    pictures[ord("\r")] = None  # half of a line end, or a way to overwrite the line: neither is needed
    pictures[0x7F] = "\u2421"
    # C1 controls (a one-byte ESC [ among them), bidirectional overrides and isolates, lone surrogates
    for start, end in ((0x80, 0xA0), (0x202A, 0x202F), (0x2066, 0x206A), (0xD800, 0xE000)):
        pictures.update(dict.fromkeys(range(start, end), _REPLACEMENT))
    return pictures


_VISIBLE = _table()


def visible(text: str) -> str:
    """Return `text` with everything a terminal would obey replaced by a sign; newline and tab stay.

    Works character by character, so a sequence split over two pieces is neutralised all the same.
    """
    return text.translate(_VISIBLE)


def for_stream(text: str, stream: TextIO) -> str:
    """Return `text` as it may be written to `stream`: neutralised for a terminal, exact otherwise."""
    return visible(text) if stream.isatty() else text


def write(text: str, stream: TextIO) -> None:
    """Write and flush `text` that a model, a tool or a file brought; raises BrokenPipeError as it comes."""
    stream.write(for_stream(text, stream))
    stream.flush()


def short_name(name: str) -> str:
    """Return a tool's full name without the namespace that every function shares."""
    return name.removeprefix("functions.")


def forgive_encodings() -> None:
    """Let a stream that cannot encode a character print a question mark instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def close_quietly() -> None:
    """Drop what is buffered for a reader that went away, so that the interpreter's exit stays silent."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(devnull, stream.fileno())
    os.close(devnull)
