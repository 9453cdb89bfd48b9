"""Answers to one prompt side by side: a column per effort, with reasoning tokens and seconds."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App
from ossia.cli.messages import M
from ossia.cli.screen import for_stream

_COLUMN = 26  # narrower columns than this cannot be read: rows then


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer and what it cost; `exit_code` is what it alone would have ended with."""

    effort: str
    text: str
    reasoning_tokens: int
    seconds: float
    reason: str
    exit_code: int


def compare(answers: Iterable[Answer], app: App) -> int:
    """Print `answers` as a table on standard output and return the highest of their exit codes."""
    got = list(answers)
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    columns = console.width >= _COLUMN * len(got) + 12
    console.print(_columns(got, app) if columns else _rows(got, app))
    return max((answer.exit_code for answer in got), default=0)


def _columns(answers: list[Answer], app: App) -> Table:
    table = Table(show_lines=True, expand=True)
    table.add_column(app.say(M.COL_EFFORT), no_wrap=True)
    for answer in answers:
        table.add_column(answer.effort, ratio=1, overflow="fold")
    table.add_row("", *(_body(answer, app) for answer in answers))
    table.add_row(app.say(M.COL_REASONING), *(str(answer.reasoning_tokens) for answer in answers))
    table.add_row(app.say(M.COL_SECONDS), *(f"{answer.seconds:.1f}" for answer in answers))
    if any(answer.exit_code for answer in answers):
        table.add_row(app.say(M.COL_END), *(answer.reason for answer in answers))
    return table


def _rows(answers: list[Answer], app: App) -> Table:
    table = Table(show_lines=True, show_header=False, expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    for answer in answers:
        cost = app.say(M.COST, tokens=answer.reasoning_tokens, seconds=answer.seconds)
        table.add_row(answer.effort, Text.assemble(_body(answer, app), "\n", (cost, "dim")))
    return table


def _body(answer: Answer, app: App) -> Text:
    return Text(for_stream(answer.text.strip(), sys.stdout) or app.say(M.NO_ANSWER))
