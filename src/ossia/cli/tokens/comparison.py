"""One text cut by several vocabularies, laid side by side where their cuts meet."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from ossia.tokenizer.cutters import Cutter, Piece


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of text that every vocabulary begins and ends together, and the pieces of each."""

    text: str
    pieces: tuple[tuple[Piece, ...], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A text and its pieces in each vocabulary."""

    text: str
    cutters: tuple[Cutter, ...]
    cuts: tuple[tuple[Piece, ...], ...]

    @property
    def size_bytes(self) -> int:
        return len(self.text.encode())

    def segments(self) -> list[Segment]:
        """The text in the shortest stretches that are whole characters and whole tokens everywhere."""
        data = self.text.encode()
        ends = [list(accumulate(len(piece.data) for piece in cut)) for cut in self.cuts]
        shared = set(ends[0]).intersection(*ends[1:]) if ends else set[int]()
        # A byte of the form 10xxxxxx continues a character: no stretch begins there.
        marks = sorted(end for end in shared if end == len(data) or data[end] & 0xC0 != 0x80)
        columns = [_split(cut, cut_ends, marks) for cut, cut_ends in zip(self.cuts, ends, strict=True)]
        texts = [data[start:end].decode() for start, end in pairwise([0, *marks])]
        rows = zip(*columns, strict=True)
        return [Segment(text, row) for text, row in zip(texts, rows, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: bytes as hex, and `text` null for a piece that is not whole characters."""
        return {
            "text": self.text,
            "bytes": self.size_bytes,
            "characters": len(self.text),
            "vocabularies": [
                {
                    "name": cutter.name,
                    "size": cutter.size,
                    "tokens": len(cut),
                    "pieces": [{"id": p.id, "bytes": p.data.hex(), "text": text_of(p.data)} for p in cut],
                }
                for cutter, cut in zip(self.cutters, self.cuts, strict=True)
            ],
        }


def compare(text: str, cutters: Sequence[Cutter]) -> Comparison:
    """Cut `text` with each of `cutters`."""
    return Comparison(text, tuple(cutters), tuple(tuple(cutter.pieces(text)) for cutter in cutters))


def text_of(data: bytes) -> str | None:
    """The characters that `data` is; None where it begins or ends inside of one."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _split(cut: Sequence[Piece], ends: Sequence[int], marks: Sequence[int]) -> list[tuple[Piece, ...]]:
    """The pieces between each mark and the next. Pieces without bytes stay with what they follow."""
    rows: list[tuple[Piece, ...]] = []
    done = 0
    for i, mark in enumerate(marks):
        last = i == len(marks) - 1
        after = done
        while after < len(cut) and (ends[after] <= mark or last):
            after += 1
        rows.append(tuple(cut[done:after]))
        done = after
    return rows
