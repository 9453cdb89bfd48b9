"""What the stages of a comparison found, in one JSON file, and the table that is made of it.

A sample is [value, bandwidth]: what was measured, and the bytes per second that a read probe reached just
before and after (null where none was made). Knows no engine: names, medians, ratios and goals only.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

Sample = tuple[float, float | None]

OSSIA, LLAMA, IK = "ossia", "llama.cpp", "ik_llama.cpp"
OSSIA_AVX2, LLAMA_AVX2, OSSIA_BF16 = "ossia-avx2", "llama.cpp-avx2", "ossia-bf16"
GIB = 1 << 30


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure of ours against a peer's, and what the ratio should be.

    `least` is the smallest ratio that meets the goal, `most` the largest value of ours that does.
    """

    name: str
    figure: str
    peer: str = LLAMA
    least: float | None = None
    most: float | None = None
    ours: str = OSSIA
    peer_figure: str = ""
    unit: str = "tok/s"


ROWS = (
    *(
        Row(f"decode, {what}", figure, peer, goal)
        for what, figure, goals in (
            ("one stream", "decode", (1.3, 1.1)),
            ("4 streams together", "streams_4", (1.9, 1.4)),
            ("8 streams together", "streams_8", (2.0, 1.6)),
            ("one stream, a core taken", "decode_busy", (None, 4.0)),
            ("4 streams, a core taken", "streams_4_busy", (2.0, None)),
        )
        for peer, goal in zip((LLAMA, IK), goals, strict=True)
    ),
    Row("prompt of 512", "prefill_512", LLAMA, 5.0),
    Row("prompt of 512", "prefill_512", IK, 1.4),
    Row("prompt of 2,048", "prefill_2048", LLAMA, 5.8),
    Row("prompt of 2,048", "prefill_2048", IK, 1.6),
    Row("prompt of 512, bf16", "prefill_512", IK, 1.1, ours=OSSIA_BF16),
    Row("prompt of 2,048, bf16", "prefill_2048", IK, 1.1, ours=OSSIA_BF16),
    Row("prompt of 512, AVX2", "prefill_512", LLAMA_AVX2, 2.5, ours=OSSIA_AVX2),
    Row("prompt of 2,048, AVX2", "prefill_2048", LLAMA_AVX2, 2.5, ours=OSSIA_AVX2),
    Row("decode, AVX2 of our AVX-512", "decode", OSSIA, 0.9, ours=OSSIA_AVX2),
    Row("decode, a core taken, of undisturbed", "decode_busy", OSSIA, 0.45, peer_figure="decode"),
    Row("decode, share of the read probe", "decode_share", OSSIA, 0.95, unit="share"),
    Row("peak memory", "peak_rss_bytes", LLAMA, most=11.5 * GIB, unit="GiB"),
    Row("peak memory", "peak_rss_bytes", IK, most=11.5 * GIB, unit="GiB"),
    Row("ready, warm cache", "ready_s", LLAMA, most=2.5, unit="s"),
    Row("ready, warm cache", "ready_s", IK, most=2.5, unit="s"),
)


@dataclass(frozen=True)
class Line:
    """A row with its figures: medians with (least, greatest), the ratio, and whether the goal is met.

    `equal`: the ratio of tokens per byte that memory gave, where every sample has a probe beside it.
    """

    row: Row
    ours: float
    ours_range: tuple[float, float]
    peer: float | None
    peer_range: tuple[float, float] | None
    ratio: float | None
    equal: float | None

    @property
    def goal(self) -> str:
        if self.row.most is not None:
            return f"≤ {shown(self.row.most, self.row.unit)}"
        sign = "" if self.row.unit == "share" else "×"
        return "" if self.row.least is None else f"≥ {self.row.least:g}{sign}"

    @property
    def met(self) -> bool | None:
        """None where there is no goal."""
        if self.row.most is not None:
            return self.ours <= self.row.most
        reached = self.ours if self.row.unit == "share" else self.ratio
        if self.row.least is None or reached is None:
            return None
        return reached >= self.row.least


class Results:
    """The results file: runs by stage and pass, and what other scripts add under names of their own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"runs": {}}

    def has(self, stage: str, turn: int) -> bool:
        return f"{stage} {turn}" in self.data["runs"]

    def add(self, stage: str, turn: int, found: dict[str, Any]) -> None:
        self.data["runs"][f"{stage} {turn}"] = found
        self.save()

    def save(self) -> None:
        part = self.path.with_suffix(".part")
        with part.open("w") as file:
            file.write(json.dumps(self.data, indent=1))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def samples(self, engine: str, figure: str) -> list[Sample]:
        """All passes' samples of one figure."""
        runs = (run for name, run in self.data["runs"].items() if name.split("/")[0] == engine)
        return [(s[0], s[1]) for run in runs for s in run["samples"].get(figure, [])]

    def lines(self) -> list[Line]:
        """The table, without rows of which one side was not measured."""
        return [line for row in ROWS if (line := self._line(row)) is not None]

    def _line(self, row: Row) -> Line | None:
        ours = self.samples(row.ours, row.figure)
        if not ours:
            return None
        theirs = [] if row.unit == "share" else self.samples(row.peer, row.peer_figure or row.figure)
        if not theirs and row.unit != "share":
            return None
        mine, (a, b) = values(ours), (per_byte(ours), per_byte(theirs))
        return Line(
            row,
            median(mine),
            (min(mine), max(mine)),
            median(values(theirs)) if theirs else None,
            (min(values(theirs)), max(values(theirs))) if theirs else None,
            median(mine) / median(values(theirs)) if theirs else None,
            median(a) / median(b) if a and b else None,
        )

    def bandwidth(self, engine: str) -> list[float]:
        """Every probe that was made beside this engine's samples."""
        runs = (run for name, run in self.data["runs"].items() if name.split("/")[0] == engine)
        return [b for run in runs for samples in run["samples"].values() for _, b in samples if b]


def values(samples: Iterable[Sample]) -> list[float]:
    return [value for value, _ in samples]


def per_byte(samples: Iterable[Sample]) -> list[float]:
    return [value / bandwidth for value, bandwidth in samples if bandwidth]


def shown(value: float, unit: str) -> str:
    """A figure as a table has it."""
    if unit == "GiB":
        return f"{value / GIB:.1f} GiB"
    if unit == "share":
        return f"{value:.0%}"
    return f"{value:.2f} s" if unit == "s" else f"{value:.1f}"
