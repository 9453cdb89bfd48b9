"""Tokens on a terminal: colours that can be read, boundaries without colour, paging."""

import io
from collections.abc import Iterator
from itertools import pairwise

import click
import pytest
from rich.color import Color
from rich.console import Console
from rich.text import Text

from ossia.cli.harmony.paint import PALETTE, Painter, aligned, emit, kind_of, shown, with_colour
from ossia.cli.harmony.reading import read_tokens
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.messages import CHANNELS, Message
from ossia.tokenizer import Tokenizer

from .harmony_inputs import TEXT


def luminance(colour: str) -> float:
    def linear(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    rgb = Color.parse(colour).get_truecolor()
    return 0.2126 * linear(rgb.red) + 0.7152 * linear(rgb.green) + 0.0722 * linear(rgb.blue)


@pytest.mark.parametrize("colour", sorted({shade for pair in PALETTE.values() for shade in pair}))
def test_every_colour_can_be_read_on_black_and_on_white(colour: str) -> None:
    light = luminance(colour)
    assert (light + 0.05) / 0.05 >= 3
    assert 1.05 / (light + 0.05) >= 3


def test_kinds_and_neighbours_have_colours_of_their_own() -> None:
    shades = [shade for pair in PALETTE.values() for shade in pair]
    assert len(shades) == len(set(shades))


def test_each_message_has_its_kind_by_recipient_role_and_channel() -> None:
    assert kind_of(None) == "outside"
    assert kind_of(Message("assistant", "", channel="analysis", recipient="python")) == "call"
    assert [kind_of(Message("assistant", "", channel=c)) for c in (*CHANNELS, None, "odd")] == [
        "analysis", "commentary", "final", "final", "final",
    ]  # fmt: skip
    roles = ("system", "developer", "user", "tool")
    assert [kind_of(Message(role, "", name="t")) for role in roles] == list(roles)


def terminal(**options: object) -> Console:
    settings: dict[str, object] = {"force_terminal": True, "color_system": "256", "width": 80, "height": 10}
    return Console(file=io.StringIO(), **(settings | options))  # type: ignore[arg-type]


def test_with_colour_tokens_take_turns_in_shade_and_control_tokens_are_reversed(tok: Tokenizer) -> None:
    reading = read_tokens(ids_from_text(TEXT, tok), tok)
    console = terminal()
    assert with_colour(console)
    painter = Painter(reading, colour=True)
    emit(painter.flow(reading.tokens), console, paged=False)
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[7;" in out
    assert "·" not in out
    styles = [painter.style(token) for token in reading.tokens]
    pairs = [(a, b) for a, b in pairwise(styles) if not a.reverse and not b.reverse]
    assert pairs
    assert all(a.color != b.color for a, b in pairs)
    assert [style.reverse for style in styles] == [
        token.part == "control" or None for token in reading.tokens
    ]


def test_a_terminal_without_colour_gets_signs() -> None:
    assert not with_colour(terminal(no_color=True))
    assert not with_colour(terminal(color_system=None))
    assert not with_colour(Console(file=io.StringIO()))


def test_what_is_learnt_is_bold_and_underlined(tok: Tokenizer) -> None:
    ids = ids_from_text(TEXT, tok)
    labels = [-100] * (len(ids) - 3) + ids[-3:]
    reading = read_tokens(ids, tok, labels)
    painter = Painter(reading, colour=True)
    assert [bool(painter.style(t).bold) for t in reading.tokens] == [label != -100 for label in labels]
    assert [bool(painter.style(t).underline) for t in reading.tokens] == [label != -100 for label in labels]
    flat = "".join(line.plain for line in Painter(reading, colour=False).flow(reading.tokens))
    assert flat.endswith("·⟦4·.·<|return|>⟧")


@pytest.mark.parametrize("width", [1, 30, 80])
def test_a_grid_keeps_ids_under_their_tokens_within_the_width(width: int, tok: Tokenizer) -> None:
    reading = read_tokens(ids_from_text(TEXT, tok), tok)
    lines = list(Painter(reading, colour=False).grid(reading.tokens, width))
    ids = [int(word) for line in lines[1::3] for word in line.plain.split()]
    assert ids == reading.ids
    widest = max(len(shown(token)) for token in reading.tokens)
    assert all(line.cell_len <= max(width, widest + 1) for line in lines)


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("가나", "1", "x"), ("a", "10", "y")]
    assert [line.plain for line in aligned(rows, right=frozenset((1,)))] == ["가나   1  x", "a     10  y"]


def test_only_what_is_longer_than_the_screen_is_paged(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setattr(click, "echo_via_pager", lambda text, color: paged.append("".join(text)))
    short, long, plain = terminal(), terminal(), Console(file=io.StringIO())
    emit((Text("line") for _ in range(9)), short)
    assert paged == []
    assert short.file.getvalue().count("line") == 9  # type: ignore[attr-defined]
    emit((Text("line") for _ in range(500)), long)
    emit((Text("line") for _ in range(500)), plain)
    assert [text.count("line") for text in paged] == [500]
    assert plain.file.getvalue() == "line\n" * 500  # type: ignore[attr-defined]


def test_one_wide_line_is_paged_as_the_rows_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.setattr(click, "echo_via_pager", lambda text, color: paged.append("".join(text)))
    emit(iter([Text("x" * 800)]), terminal())
    assert len(paged) == 1


def test_the_pager_is_fed_as_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def lines() -> Iterator[Text]:
        for number in range(1000):
            read.append(number)
            yield Text("line")

    monkeypatch.setattr(click, "echo_via_pager", lambda text, color: next(iter(text)))
    emit(lines(), terminal())
    assert len(read) == 10
