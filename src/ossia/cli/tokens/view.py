"""A comparison on a screen: totals, then the pieces side by side.

With colour, pieces take turns between two; without, ``·`` stands between them.
"""

import re
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App
from ossia.cli.screen import visible
from ossia.cli.tokens.comparison import Comparison, text_of
from ossia.cli.tokens.words import W
from ossia.tokenizer.cutters import Piece

_MOST_ROWS = 200
_WIDTH_ELSEWHERE = 160  # columns for a pipe: as in `ossia info`
_SHADES = ("black on color(152)", "black on color(223)")
_PART_SHADES = ("black on color(110)", "black on color(180)")  # bytes of a character, not text
_SIGNS = {"\n": "↵", "\r": "␍", "\t": "⇥"}


def console_for_output() -> Console:
    """A console on standard output; without a terminal wide enough for a line to stay one."""
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_ELSEWHERE
    return console


def print_comparison(comparison: Comparison, app: App) -> None:
    """Print totals for each vocabulary, then a row for each stretch in which their cuts meet."""
    console = console_for_output()
    console.print(_totals(comparison, app))
    console.print()
    segments = comparison.segments()
    plain = console.color_system is None or console.no_color
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(app.say(W.COL_TEXT), overflow="fold")
    table.add_column(app.say(W.COL_BYTES), justify="right", no_wrap=True)
    for cutter in comparison.cutters:
        table.add_column(Text(visible(cutter.name)), overflow="fold")
    shade = [0] * len(comparison.cutters)
    for segment in segments[:_MOST_ROWS]:
        cells = [_cell(pieces, shade[i], plain=plain) for i, pieces in enumerate(segment.pieces)]
        shade = [(before + len(pieces)) % 2 for before, pieces in zip(shade, segment.pieces, strict=True)]
        table.add_row(Text(shown(segment.text.encode())), str(len(segment.text.encode())), *cells)
    console.print(table)
    if len(segments) > _MOST_ROWS:
        console.print(app.say(W.MORE_ROWS, count=len(segments) - _MOST_ROWS))


def shown(data: bytes) -> str:
    """What is shown for a piece: its text with spaces and line ends made visible, or its bytes.

    Bytes also where all that the text has is joiners and the like, which nobody would see.
    """
    text = text_of(data)
    if text is None or not any(c.isprintable() or c in _SIGNS for c in text):
        return f"⟨{data.hex(' ')}⟩"
    for sign, picture in _SIGNS.items():
        text = text.replace(sign, picture)
    return visible(re.sub(" +", _spaces, text))


def _spaces(run: re.Match[str]) -> str:
    length = len(run[0])
    return "␣" * length if length < 4 else f"␣×{length}"


def _cell(pieces: tuple[Piece, ...], first_shade: int, *, plain: bool) -> Text:
    """How many pieces, and the pieces."""
    cell = Text(f"{len(pieces):>2}  ")
    for i, piece in enumerate(pieces):
        if plain and i:
            cell.append("·")
        shades = _SHADES if text_of(piece.data) is not None else _PART_SHADES
        cell.append(shown(piece.data), "" if plain else shades[(first_shade + i) % 2])
    return cell


def _totals(comparison: Comparison, app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(app.say(W.COL_VOCABULARY), no_wrap=True)
    for heading in (W.COL_SIZE, W.COL_TOKENS, W.COL_BYTES_EACH, W.COL_CHARACTERS_EACH):
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    for cutter, cut in zip(comparison.cutters, comparison.cuts, strict=True):
        sizes = (comparison.size_bytes / len(cut), len(comparison.text) / len(cut))
        averages = [f"{size:.2f}" for size in sizes]
        table.add_row(Text(visible(cutter.name)), f"{cutter.size:,}", f"{len(cut):,}", *averages)
    return table
