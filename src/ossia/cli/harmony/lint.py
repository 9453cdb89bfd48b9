"""``ossia harmony lint``: a line for everything malformed, in files and in rows of data sets."""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from ossia.cli.app import App, command, model_option_about, option
from ossia.cli.harmony.checks import Finding, doubts, errors
from ossia.cli.harmony.reading import read_tokens
from ossia.cli.harmony.source import (
    STDIN,
    Source,
    Vocabulary,
    decode,
    is_rows,
    open_vocabulary,
    read_bytes,
    read_source,
)
from ossia.cli.harmony.words import W, meaning
from ossia.cli.messages import M
from ossia.cli.screen import for_stream
from ossia.errors import InputError

EXIT_MALFORMED = 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding is, for people: `line` and `column` from 1, 0 where there are none."""

    file: str
    line: int
    column: int
    finding: Finding


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    tokens: int = 0
    found: int = 0


@command("lint", help=W.HELP_LINT)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@option("--strict", is_flag=True, help=W.OPT_STRICT)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@model_option_about(W.OPT_MODEL)
@click.pass_obj
def lint_command(app: App, files: tuple[str, ...], strict: bool, as_json: bool) -> int:
    if files.count(STDIN) > 1:
        raise InputError(app.say(W.ONE_STDIN), value=files, remedy=app.say(W.GIVE_FILE))
    linter = _Linter(open_vocabulary(app), strict, app)
    places = (place for file in files for place in linter.file(file))
    if as_json:
        found = [_to_dict(place) for place in places]
        click.echo(json.dumps({"findings": found, "rows": linter.tally.rows, "tokens": linter.tally.tokens}))
    else:
        for place in places:
            click.echo(for_stream(_line(place, app), sys.stdout))
        key = W.FOUND if linter.tally.found else W.CLEAN
        click.echo(app.say(key, count=linter.tally.found, tokens=linter.tally.tokens), err=True)
    return EXIT_MALFORMED if linter.tally.found else 0


class _Linter:
    """Reads one file after the other and counts."""

    def __init__(self, vocabulary: Vocabulary, strict: bool, app: App) -> None:
        self._vocabulary = vocabulary
        self._strict = strict
        self._app = app
        self.tally = _Tally()

    def file(self, name: str) -> Iterator[Place]:
        data = read_bytes(name, self._app)
        if not is_rows(name, data):
            yield from self._document(name, 0, decode(data, name, self._app))
            return
        at = 0
        for number, line in enumerate(io.BytesIO(data), 1):
            if line.strip():
                yield from self._document(name, number, decode(line, name, self._app, before=at))
            at += len(line)

    def _document(self, name: str, row: int, text: str) -> Iterator[Place]:
        """Everything found in one document, or in row number `row` of a data set."""
        self.tally.rows += 1
        try:
            source = read_source(name, text, self._vocabulary, self._app)
            found = list(self._findings(source))
        except InputError as error:
            source, found = None, [Finding("unreadable", 0, 0, error.message)]
        for finding in found:
            self.tally.found += 1
            line, column = (row, 0) if row or source is None else self._position(source, finding)
            yield Place(name, line, column, finding)

    def _findings(self, source: Source) -> Iterator[Finding]:
        tok = self._vocabulary.tok
        reading = read_tokens(source.rendered(tok), tok)
        self.tally.tokens += len(reading.tokens)
        yield from errors(source, reading)
        if self._strict:
            yield from doubts(source, reading, tok)

    def _position(self, source: Source, finding: Finding) -> tuple[int, int]:
        """Line and column in Harmony text; (0, 0) in anything else."""
        if source.text is None or source.ids is None:
            return 0, 0
        before = self._vocabulary.tok.decode(source.ids[: finding.start])
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _line(place: Place, app: App) -> str:
    finding = place.finding
    where = [place.file, *(str(n) for n in (place.line, place.column) if n)]
    if finding.end > finding.start:
        where.append(f"{finding.start}-{finding.end - 1}")
    said = app.say(key) if (key := meaning(finding.code)) else ""
    detail = finding.detail.replace("\r", "␍").replace("\n", "↵")
    return f"{':'.join(where)}: {finding.code}: {said}{f' ({detail})' if detail else ''}"


def _to_dict(place: Place) -> dict[str, Any]:
    finding = place.finding
    return {
        "file": place.file,
        "line": place.line or None,
        "column": place.column or None,
        "start": finding.start,
        "end": finding.end,
        "code": finding.code,
        "detail": finding.detail,
    }
