"""How many tokens the same text takes in each language: the fertility of vocabularies."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App
from ossia.cli.screen import visible
from ossia.cli.tokens.declaration import ENGLISH, Translation, read_declaration
from ossia.cli.tokens.words import W
from ossia.tokenizer.cutters import Cutter


@dataclass(frozen=True, slots=True)
class Fertility:
    """One language in one vocabulary. `times_english`: tokens, relative to those of the English text."""

    tokens: int
    per_word: float | None
    per_character: float
    per_byte: float
    times_english: float


@dataclass(frozen=True, slots=True)
class Row:
    """One language: its text's size, and its fertility in each vocabulary."""

    code: str
    language: str
    words: int | None
    characters: int
    size_bytes: int
    fertility: tuple[Fertility, ...]


def measure(cutters: Sequence[Cutter]) -> list[Row]:
    """Every language of the Declaration, the cheapest in the first vocabulary first."""
    translations = read_declaration()
    counts = {t.code: [len(cutter.encode(t.text)) for cutter in cutters] for t in translations}
    rows = [_row(t, counts[t.code], counts[ENGLISH]) for t in translations]
    return sorted(rows, key=lambda row: row.fertility[0].tokens)


def _row(translation: Translation, counts: list[int], english: list[int]) -> Row:
    text, words = translation.text, translation.words
    size_bytes = len(text.encode())
    fertility = tuple(
        Fertility(
            tokens=tokens,
            per_word=tokens / words if words else None,
            per_character=tokens / len(text),
            per_byte=tokens / size_bytes,
            times_english=tokens / reference,
        )
        for tokens, reference in zip(counts, english, strict=True)
    )
    return Row(translation.code, translation.language, words, len(text), size_bytes, fertility)


def as_dict(rows: Sequence[Row], cutters: Sequence[Cutter]) -> dict[str, Any]:
    """Plain values for JSON."""
    return {
        "text": "Universal Declaration of Human Rights",
        "languages": [
            {
                "code": row.code,
                "language": row.language,
                "words": row.words,
                "characters": row.characters,
                "bytes": row.size_bytes,
                "vocabularies": {
                    cutter.name: asdict(f) for cutter, f in zip(cutters, row.fertility, strict=True)
                },
            }
            for row in rows
        ],
    }


def print_languages(rows: Sequence[Row], cutters: Sequence[Cutter], console: Console, app: App) -> None:
    """Print a line for each language; with several vocabularies only what tells them apart."""
    wide = len(cutters) == 1
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(app.say(W.COL_LANGUAGE), no_wrap=True)
    for heading in (W.COL_CHARACTERS, W.COL_BYTES):
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    for cutter in cutters:
        lead = Text("" if wide else f"{visible(cutter.name)}\n")
        for heading in _headings(wide):
            table.add_column(lead + Text(app.say(heading)), justify="right", no_wrap=True)
            lead = Text("" if wide else "\n")
    for row in rows:
        cells = [cell for fertility in row.fertility for cell in _cells(fertility, wide)]
        table.add_row(row.language, f"{row.characters:,}", f"{row.size_bytes:,}", *cells)
    console.print(table)
    console.print(app.say(W.LANGUAGES_NOTE))


def _headings(wide: bool) -> tuple[W, ...]:
    if not wide:
        return (W.COL_TOKENS, W.COL_PER_WORD, W.COL_TIMES_ENGLISH)
    return (W.COL_TOKENS, W.COL_PER_WORD, W.COL_PER_CHARACTER, W.COL_PER_BYTE, W.COL_TIMES_ENGLISH)


def _cells(fertility: Fertility, wide: bool) -> list[str]:
    per_word = "–" if fertility.per_word is None else f"{fertility.per_word:.2f}"
    times = f"{fertility.times_english:.2f}"
    if not wide:
        return [f"{fertility.tokens:,}", per_word, times]
    return [
        f"{fertility.tokens:,}",
        per_word,
        f"{fertility.per_character:.3f}",
        f"{fertility.per_byte:.3f}",
        times,
    ]
