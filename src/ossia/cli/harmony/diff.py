"""``ossia harmony diff``: where two renderings part, token by token."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import click
from rich.console import Console
from rich.style import Style
from rich.text import Text

from ossia.cli.app import App, command, option
from ossia.cli.harmony.paint import aligned, emit, shown
from ossia.cli.harmony.reading import Reading, Token, read_tokens
from ossia.cli.harmony.source import STDIN, Source, open_source, open_vocabulary, rendering_options, rules_of
from ossia.cli.harmony.words import W
from ossia.cli.messages import M
from ossia.cli.screen import visible
from ossia.errors import InputError
from ossia.tokenizer import Tokenizer

EXIT_DIFFERENT = 1
_EXACT_UP_TO = 4000  # ids: longer stretches are aligned by their rarer ids only, or it takes quadratic time
_STYLES = {"-": Style(color="color(160)"), "+": Style(color="color(28)"), " ": Style()}

Change = tuple[int, int, int, int]
"""Tokens a0 to a1 of A were replaced by b0 to b1 of B; either may be empty."""


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    kind: str
    reading: Reading


@command("diff", help=W.HELP_DIFF)
@click.argument("file_a", metavar="A")
@click.argument("file_b", metavar="[B]", required=False)
@option("--context", type=click.IntRange(0), default=5, show_default=True, metavar="N", help=W.OPT_CONTEXT)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@option("--pager/--no-pager", default=True, help=W.OPT_PAGER)
@rendering_options
@click.pass_obj
def diff_command(
    app: App, file_a: str, file_b: str | None, context: int, as_json: bool, pager: bool, **rendering: Any
) -> int:
    sides = _sides(file_a, file_b, rendering, app)
    found = changes(sides[0].reading.ids, sides[1].reading.ids)
    if as_json:
        click.echo(json.dumps(_to_dict(sides, found), ensure_ascii=False))
    else:
        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        emit(_lines(sides, found, context, app), console, paged=pager)
    return EXIT_DIFFERENT if found else 0


def changes(a: Sequence[int], b: Sequence[int]) -> list[Change]:
    """Where `a` and `b` differ, in order; [] where they are equal."""
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    matcher = SequenceMatcher(None, middle_a, middle_b, autojunk=len(middle_b) > _EXACT_UP_TO)
    return [
        (start + a0, start + a1, start + b0, start + b1)
        for tag, a0, a1, b0, b1 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _sides(file_a: str, file_b: str | None, rendering: dict[str, Any], app: App) -> tuple[_Side, _Side]:
    rules = rules_of(rendering)
    if file_b is None and rules is None:
        raise InputError(app.say(W.NEED_TWO, name=file_a), value=file_a, remedy=app.say(W.GIVE_SECOND))
    if file_a == file_b == STDIN:
        raise InputError(app.say(W.ONE_STDIN), value=STDIN, remedy=app.say(W.GIVE_FILE))
    vocabulary = open_vocabulary(app)
    source = open_source(file_a, vocabulary, app)
    tok = vocabulary.tok
    if file_b is not None:
        other = open_source(file_b, vocabulary, app)
        return _side(file_a, source, source.rendered(tok, rules), tok), _side(
            file_b, other, other.rendered(tok, rules), tok
        )
    options = " ".join(_spelled(rendering))
    again = app.say(W.AS_RENDERED, name=file_a, options=options)
    return (
        _side(file_a, source, source.rendered(tok), tok),
        _side(again, source, source.rendered(tok, rules), tok),
    )


def _side(name: str, source: Source, ids: Sequence[int], tok: Tokenizer) -> _Side:
    return _Side(name, source.kind, read_tokens(ids, tok))


def _spelled(rendering: dict[str, Any]) -> Iterator[str]:
    if rendering.get("canonical"):
        yield "--canonical"
    if rendering.get("schema"):
        yield f"--schema {rendering['schema']}"
    if rendering.get("keep_analysis"):
        yield "--no-drop-analysis"


def _lines(sides: tuple[_Side, _Side], found: list[Change], context: int, app: App) -> Iterator[Text]:
    a, b = (side.reading for side in sides)
    if not found:
        yield Text(app.say(W.EQUAL, tokens=len(a.tokens)))
        return
    for sign, side in zip("-+", sides, strict=True):
        yield Text(f"{sign * 3} {visible(side.name)} ({len(side.reading.tokens):,})", _STYLES[sign])
    yield Text(app.say(W.FIRST, at=found[0][0], where=_where(found[0], a, b, app)))
    for hunk in _hunks(found, context):
        yield Text()
        rows = list(_rows(hunk, context, a, b))
        for (sign, *_), line in zip(rows, aligned(rows, right=frozenset((1, 2, 3))), strict=True):
            line.stylize(_STYLES[sign])
            yield line
    removed, added = sum(c[1] - c[0] for c in found), sum(c[3] - c[2] for c in found)
    yield Text()
    yield Text(app.say(W.SUMMARY, removed=removed, added=added))


def _where(change: Change, a: Reading, b: Reading, app: App) -> str:
    at_a, at_b = change[0], change[2]
    reading, at = (a, at_a) if at_a < len(a.tokens) else (b, at_b)
    number = reading.tokens[at].message
    if number is None:
        return app.say(W.OUTSIDE)
    message = reading.messages[number]
    title = " ".join(filter(None, (message.role, message.channel, message.recipient)))
    return app.say(W.IN_MESSAGE, number=number, title=visible(title))


def _hunks(found: list[Change], context: int) -> Iterator[list[Change]]:
    """Changes that share their context, together."""
    hunk: list[Change] = []
    for change in found:
        if hunk and change[0] - hunk[-1][1] > 2 * context:
            yield hunk
            hunk = []
        hunk.append(change)
    yield hunk


def _rows(
    hunk: list[Change], context: int, a: Reading, b: Reading
) -> Iterator[tuple[str, str, str, str, str]]:
    """Sign, number in A, number in B, id, text: one row for each token."""
    at_a, at_b = max(hunk[0][0] - context, 0), hunk[0][2] - min(context, hunk[0][0])
    for a0, a1, b0, b1 in hunk:
        yield from _equal(a.tokens[at_a:a0], at_b)
        yield from (("-", str(t.index), "", str(t.id), shown(t)) for t in a.tokens[a0:a1])
        yield from (("+", "", str(t.index), str(t.id), shown(t)) for t in b.tokens[b0:b1])
        at_a, at_b = a1, b1
    yield from _equal(a.tokens[at_a : at_a + context], at_b)


def _equal(tokens: Sequence[Token], at_b: int) -> Iterator[tuple[str, str, str, str, str]]:
    for n, token in enumerate(tokens):
        yield " ", str(token.index), str(at_b + n), str(token.id), shown(token)


def _to_dict(sides: tuple[_Side, _Side], found: list[Change]) -> dict[str, Any]:
    a, b = (side.reading.tokens for side in sides)
    return {
        "equal": not found,
        "a": {"name": sides[0].name, "kind": sides[0].kind, "tokens": len(a)},
        "b": {"name": sides[1].name, "kind": sides[1].kind, "tokens": len(b)},
        "first": {"a": found[0][0], "b": found[0][2]} if found else None,
        "changes": [
            {
                "a": {"start": a0, "end": a1, "tokens": [_token(t) for t in a[a0:a1]]},
                "b": {"start": b0, "end": b1, "tokens": [_token(t) for t in b[b0:b1]]},
            }
            for a0, a1, b0, b1 in found
        ],
    }


def _token(token: Token) -> dict[str, Any]:
    return {"id": token.id, "text": shown(token) if token.text is None else token.text}
