"""How far a long step is, on standard error: a bar on a terminal, a line per step elsewhere."""

import sys
from collections.abc import Generator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ossia.cli.screen import visible
from ossia.hub import progress as hub
from ossia.hub.cache import human

_LEAST_BYTES = 10_000


class _Amount(ProgressColumn):
    """Bytes and their rate; steps, where the total is too small to be bytes, are only counted."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text("")
        done, total = int(task.completed), int(task.total)
        if total < _LEAST_BYTES:
            return Text(f"{done}/{total}")
        rate = f", {human(int(task.speed))}/s" if task.speed else ""
        return Text(f"{human(done)} / {human(total)}{rate}", no_wrap=True)


COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(bar_width=None),
    _Amount(),
    TimeRemainingColumn(compact=True),
)


@contextmanager
def showing_progress() -> Generator[hub.Progress]:
    """Yield a `Progress` for the hub that shows each step while the block runs."""
    console = Console(file=sys.stderr, highlight=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        yield _Lines().show
        return
    with Progress(*COLUMNS, console=console) as bars:
        yield Bars(bars).show


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, what: str, done: int, total: int) -> None:
        if what != self._last:
            self._last = what
            click.echo(what, err=True)


class Bars:
    """One bar per piece of work: a step that goes on counting towards the same total stays on its bar."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._what = ""
        self._done: int = 0
        self._total: int = 0

    def show(self, what: str, done: int, total: int) -> None:
        same: bool = what == self._what or (total == self._total != 0 and done >= self._done)
        if self._task is None or not same:
            self._close()
            self._task = self._bars.add_task("", total=total or None)
        self._what, self._done, self._total = what, done, total
        self._bars.update(self._task, description=escape(visible(what)), completed=done, total=total or None)

    def _close(self) -> None:
        if self._task is not None and not self._total:
            self._bars.update(self._task, total=1, completed=1)  # of unknown length, and over
