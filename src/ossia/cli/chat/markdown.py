"""A light hand for Markdown while it streams: headings and **strong** bold, `code` and fences coloured.

Every character stays where it was, signs included, so that what is copied is what the model wrote. Knows
no nesting, no lists, no tables: these read well as they are.
"""

from dataclasses import dataclass, field
from typing import Literal

Look = Literal["plain", "strong", "code"]

_FENCE = "```"


@dataclass(slots=True)
class Markdown:
    """Takes text piece by piece and says how each part looks; a sign is held back until it has a meaning.

    Strong and code end with their paragraph at the latest: an unpaired sign spoils no more than that.
    """

    _line: str = ""  # the line so far
    _held: str = ""  # asterisks whose meaning is not yet known
    _fenced: bool = False
    _strong: bool = False
    _code: bool = False
    _runs: list[tuple[str, Look]] = field(default_factory=list[tuple[str, Look]])

    def feed(self, text: str) -> list[tuple[str, Look]]:
        """Return the parts that can be printed now, in order."""
        self._runs = []
        for char in text:
            self._char(char)
        return self._runs

    def flush(self) -> list[tuple[str, Look]]:
        """Return what was held back."""
        self._runs = []
        self._release()
        return self._runs

    def _char(self, char: str) -> None:
        if char == "*" and not self._code and not self._fenced:
            self._held += char
            return
        self._release(before=char)
        if char == "\n":
            self._end_line()
            return
        self._line += char
        if char == "`" and not self._in_fence():
            self._emit(char, "code")
            self._code = not self._code
        else:
            self._emit(char, self._look())

    def _release(self, before: str = "") -> None:
        """Print held asterisks; two of them open or close what is strong (not "2 ** 3")."""
        held, self._held = self._held, ""
        if held == "**" and (self._strong or before.strip()):
            self._emit(held, "strong")
            self._strong = not self._strong
        elif held:
            self._emit(held, self._look())
        self._line += held

    def _end_line(self) -> None:
        self._emit("\n", "plain")
        if self._line.lstrip().startswith(_FENCE):
            self._fenced = not self._fenced
            self._strong = self._code = False
        if not self._line.strip():
            self._strong = self._code = False
        self._line = ""

    def _in_fence(self) -> bool:
        return self._fenced or self._line.lstrip().startswith(_FENCE)

    def _look(self) -> Look:
        if self._code or self._in_fence():
            return "code"
        return "strong" if self._strong or self._line.startswith("#") else "plain"

    def _emit(self, text: str, look: Look) -> None:
        if self._runs and self._runs[-1][1] == look:
            text = self._runs.pop()[0] + text
        self._runs.append((text, look))
