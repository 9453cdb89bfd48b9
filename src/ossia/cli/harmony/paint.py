"""Tokens as lines of a screen: colours by role and channel, boundaries, control tokens, learnt stretches.

Every colour is legible on black and on white. Without colour the same things are said in signs: ``·``
between tokens, ``⟦ ⟧`` around what is learnt.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import click
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.text import Text

from ossia.cli.harmony.reading import Reading, Token
from ossia.cli.screen import visible
from ossia.harmony.messages import Message

PALETTE: dict[str, tuple[str, str]] = {
    "system": ("color(61)", "color(104)"),
    "developer": ("color(92)", "color(134)"),
    "user": ("color(25)", "color(33)"),
    "analysis": ("color(241)", "color(246)"),
    "commentary": ("color(94)", "color(137)"),
    "call": ("color(130)", "color(202)"),
    "final": ("color(28)", "color(65)"),
    "tool": ("color(30)", "color(66)"),
    "outside": ("color(160)", "color(167)"),
}
"""Two shades for each kind of message: tokens take turns, so that each is seen."""

BOUNDARY = "·"
LEARNT = ("⟦", "⟧")
_NEWLINE = "↵"
_GAP = 1  # cells between two columns of `grid`
_COLUMN_GAP = "  "


def kind_of(message: Message | None) -> str:
    """The entry of `PALETTE` a message is painted with; None is what belongs to no message."""
    if message is None:
        return "outside"
    if message.is_call:
        return "call"
    if message.role != "assistant":
        return message.role
    return message.channel if message.channel in ("analysis", "commentary") else "final"


def shown(token: Token) -> str:
    """What is shown for a token: its text on one line, or its bytes where they are half a character."""
    if token.data is None:
        return f"⟨{token.id}?⟩"
    text = token.text
    if text is None:
        return f"⟨{token.data.hex(' ')}⟩"
    return visible(text.replace("\r", "␍").replace("\n", _NEWLINE).replace("\t", "⇥"))


def _in_cell(token: Token) -> str:
    """What `grid` shows: spaces alone would not be seen."""
    text = shown(token)
    return text if text.strip(" ") else "␣" * len(text)


@dataclass(frozen=True, slots=True)
class Painter:
    """Paints the tokens of one reading. `colour`: shades tell tokens apart, else signs do."""

    reading: Reading
    colour: bool
    malformed: frozenset[int] = frozenset()  # tokens that a diagnostic names

    def style(self, token: Token) -> Style:
        """A control token in reverse; with a loss mask what is learnt bold and underlined."""
        message = None if token.message is None else self.reading.messages[token.message]
        kind = "outside" if token.part == "outside" or token.index in self.malformed else kind_of(message)
        return Style(
            color=PALETTE[kind][token.index % 2],
            reverse=token.part == "control" or None,
            bold=token.learnt or None,
            underline=token.learnt or None,
        )

    def flow(self, tokens: Sequence[Token]) -> Iterator[Text]:
        """The tokens as running text, broken where their text breaks."""
        line = Text()
        learnt = False
        for token in tokens:
            if not self.colour:
                if learnt and not token.learnt:
                    line.append(LEARNT[1])
                if line.plain:
                    line.append(BOUNDARY)
                if token.learnt and not learnt:
                    line.append(LEARNT[0])
                learnt = bool(token.learnt)
            text = shown(token)
            line.append(text, self.style(token))
            if token.part != "control" and text.endswith(_NEWLINE):
                yield line
                line = Text()
        if not self.colour and learnt:
            line.append(LEARNT[1])
        if line.plain:
            yield line

    def grid(self, tokens: Sequence[Token], width: int) -> Iterator[Text]:
        """The tokens in columns with their ids beneath, and ``▁`` under what is learnt."""
        row: list[Token] = []
        used = 0
        for token in tokens:
            needed = self._cells(token) + _GAP
            if row and used + needed > width:
                yield from self._row(row)
                yield Text()
                row, used = [], 0
            row.append(token)
            used += needed
        yield from self._row(row)

    def _cells(self, token: Token) -> int:
        return max(cell_len(_in_cell(token)), len(str(token.id)))

    def _row(self, tokens: Sequence[Token]) -> Iterator[Text]:
        texts, ids, marks = Text(), Text(), Text()
        for token in tokens:
            cells, text = self._cells(token), _in_cell(token)
            texts.append(text, self.style(token))
            texts.append(" " * (cells - cell_len(text) + _GAP))
            ids.append(str(token.id).ljust(cells + _GAP), Style(dim=True))
            marks.append(("▁" * cells if token.learnt else "").ljust(cells + _GAP))
        lines = [texts, ids, marks] if any(token.learnt for token in tokens) else [texts, ids]
        for line in lines:
            line.rstrip()
            yield line


def aligned(rows: Sequence[Sequence[str]], *, right: frozenset[int] = frozenset()) -> Iterator[Text]:
    """One line for each row, its columns as wide as the widest cell; columns in `right` end flush."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells: list[str] = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            pad = " " * (width - cell_len(cell))
            cells.append(pad + cell if i in right else cell + pad)
        yield Text(_COLUMN_GAP.join(cells).rstrip())


def with_colour(console: Console) -> bool:
    """Whether colours can be seen where `console` writes."""
    return console.is_terminal and not console.no_color and console.color_system is not None


def emit(lines: Iterable[Text], console: Console, *, paged: bool = True) -> None:
    """Write lines: plain where nobody watches, through the pager where the screen cannot hold them."""
    if not console.is_terminal:
        for line in lines:
            console.file.write(line.plain + "\n")
        return
    rest = iter(lines)
    first: list[str] = []
    rows = 0
    for line in rest:
        first.append(_ansi(line, console))
        rows += 1 + max(line.cell_len - 1, 0) // console.width
        if paged and rows >= console.height:
            click.echo_via_pager(chain(first, (_ansi(line, console) for line in rest)), color=True)
            return
    console.file.write("".join(first))


def _ansi(line: Text, console: Console) -> str:
    with console.capture() as captured:
        console.print(line, soft_wrap=True)
    return captured.get()
