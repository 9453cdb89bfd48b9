"""How far a long step is, on standard error: a bar on a terminal, a line per step elsewhere."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from ossia.cli.screen import visible
from ossia.hub import progress as hub


@contextmanager
def showing_progress() -> Generator[hub.Progress]:
    """Yield a `Progress` for the hub that shows each step while the block runs."""
    console = Console(file=sys.stderr, highlight=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines().show
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console) as bars:
        yield _Bars(bars).show


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, what: str, done: int, total: int) -> None:
        if what != self._last:
            self._last = what
            click.echo(what, err=True)


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def show(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(escape(visible(what)), total=total or None)
        self._bars.update(self._tasks[what], completed=done, total=total or None)
