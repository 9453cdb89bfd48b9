"""``ossia harmony show``: every token of a conversation, what is wrong with them, and what is learnt."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.style import Style
from rich.text import Text

from ossia.cli.app import App, command, option
from ossia.cli.harmony.paint import PALETTE, Painter, aligned, emit, kind_of, with_colour
from ossia.cli.harmony.reading import Reading, Token, read_tokens
from ossia.cli.harmony.source import (
    KINDS,
    Source,
    Vocabulary,
    open_source,
    open_vocabulary,
    rendering_options,
    rules_of,
)
from ossia.cli.harmony.words import W, meaning
from ossia.cli.messages import M
from ossia.cli.screen import visible
from ossia.errors import InputError
from ossia.harmony.events import Diagnostic, Span
from ossia.harmony.messages import Message
from ossia.harmony.training import training_examples
from ossia.tokenizer import Tokenizer

_PLAIN_WIDTH = 100  # columns of a grid of ids where no terminal says how wide it is
_HEADING, _QUIET = Style(bold=True), Style(dim=True)


@command("show", help=W.HELP_SHOW)
@click.argument("file", metavar="FILE")
@option("--row", type=click.IntRange(1), metavar="N", help=W.OPT_ROW)
@option("--mask", is_flag=True, help=W.OPT_MASK)
@option("--ids", "with_ids", is_flag=True, help=W.OPT_IDS)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@option("--pager/--no-pager", default=True, help=W.OPT_PAGER)
@rendering_options
@click.pass_obj
def show_command(
    app: App,
    file: str,
    row: int | None,
    mask: bool,
    with_ids: bool,
    as_json: bool,
    pager: bool,
    **rendering: Any,
) -> None:
    vocabulary = open_vocabulary(app)
    source = open_source(file, vocabulary, app, row=row)
    readings = list(_readings(source, vocabulary.tok, mask, rendering, app))
    if as_json:
        click.echo(json.dumps(_to_dict(source, readings, vocabulary, mask), ensure_ascii=False))
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    emit(_Page(source, vocabulary, console, with_ids, app).lines(readings, mask), console, paged=pager)


def _readings(
    source: Source, tok: Tokenizer, mask: bool, rendering: dict[str, Any], app: App
) -> Iterator[Reading]:
    """The ids as they are or would be; with `mask` each training example instead."""
    if not mask:
        yield read_tokens(source.rendered(tok, rules_of(rendering)), tok)
        return
    schema = rendering.get("schema") or "full"
    examples = training_examples(source.messages(tok), tok, schema=schema)
    if not examples:
        raise InputError(app.say(W.NOTHING_LEARNT), value=source.name, remedy=app.say(W.GIVE_ANSWER))
    for example in examples:
        yield read_tokens(example.input_ids, tok, example.labels)


class _Page:
    """What is printed, line by line."""

    def __init__(
        self, source: Source, vocabulary: Vocabulary, console: Console, with_ids: bool, app: App
    ) -> None:
        self._source = source
        self._vocabulary = vocabulary
        self._colour = with_colour(console)
        self._width = console.width if console.is_terminal else _PLAIN_WIDTH
        self._with_ids = with_ids
        self._app = app

    def lines(self, readings: Sequence[Reading], mask: bool) -> Iterator[Text]:
        yield self._headline(readings, mask)
        if not mask:
            yield from self._notes(readings[0])
        for number, reading in enumerate(readings):
            if mask:
                yield Text()
                yield self._example(number, readings)
            before = readings[number - 1] if number else None
            yield from self._reading(reading, _repeated(reading, before) if before else 0)

    def _headline(self, readings: Sequence[Reading], mask: bool) -> Text:
        said = self._app.say(
            W.HEADLINE_MASK if mask else W.HEADLINE,
            name=self._source.name,
            kind=self._app.say(KINDS[self._source.kind]),
            vocabulary=self._vocabulary.tok.name,
            tokens=len(readings[0].tokens),
            messages=len(readings[0].messages),
            examples=len(readings),
        )
        return Text(visible(said), _HEADING)

    def _notes(self, reading: Reading) -> Iterator[Text]:
        conversation = self._source.conversation
        if reading.prompted:
            yield Text(self._app.say(W.PROMPTED), _QUIET)
        if conversation is not None and (gone := len(conversation.messages) - len(reading.messages)) > 0:
            yield Text(self._app.say(W.DROPPED, count=gone), _QUIET)
        model = self._source.saved_with
        if model and "gpt-oss" not in model and not self._vocabulary.asked_for:
            yield Text(visible(self._app.say(W.SAVED_WITH, model=model)), _QUIET)
        if lost := self._source.lost_tools:
            yield Text(visible(self._app.say(W.LOST_TOOLS, names=", ".join(lost))), _QUIET)

    def _example(self, number: int, readings: Sequence[Reading]) -> Text:
        tokens = readings[number].tokens
        learnt = sum(bool(token.learnt) for token in tokens)
        words = {"number": number + 1, "all": len(readings), "tokens": len(tokens), "learnt": learnt}
        return Text(self._app.say(W.EXAMPLE, **words), _HEADING)

    def _reading(self, reading: Reading, repeated: int) -> Iterator[Text]:
        """One reading; its first `repeated` spans were shown in the one before."""
        malformed = frozenset(i for d in reading.diagnostics for i in range(d.start, d.end))
        painter = Painter(reading, self._colour, malformed)
        if repeated:
            upto = reading.spans[repeated - 1].end
            yield Text(self._app.say(W.AS_BEFORE, messages=repeated, tokens=upto), _QUIET)
        for span in reading.spans[repeated:]:
            yield Text()
            yield self._heading(span, reading)
            tokens = reading.tokens[span.start : span.end]
            yield from painter.grid(tokens, self._width) if self._with_ids else painter.flow(tokens)
        yield from self._diagnostics(reading)
        yield Text()
        yield from _counts(reading, self._app)

    def _heading(self, span: Span, reading: Reading) -> Text:
        size = self._app.say(W.TOKENS, count=span.end - span.start)
        if span.message is None:
            return Text(f"── {self._app.say(W.OUTSIDE)} · {size}", _QUIET)
        return Text(f"── {span.message} {_title(reading.messages[span.message])} · {size}", _QUIET)

    def _diagnostics(self, reading: Reading) -> Iterator[Text]:
        if not reading.diagnostics:
            return
        yield Text()
        yield Text(self._app.say(W.DIAGNOSTICS, count=len(reading.diagnostics)), _HEADING)
        rows = [
            (
                f"{d.start}–{d.end - 1}" if d.end - d.start > 1 else str(d.start),
                d.code,
                _explained(d, self._app),
            )
            for d in reading.diagnostics
        ]
        yield from aligned(rows)


def _repeated(reading: Reading, before: Reading) -> int:
    """How many spans at the beginning are the same as in `before`, with nothing learnt in them."""
    same = 0
    for span, other in zip(reading.spans, before.spans, strict=False):
        mine = reading.tokens[span.start : span.end]
        if span != other or any(token.learnt for token in mine):
            break
        if [t.id for t in mine] != [t.id for t in before.tokens[span.start : span.end]]:
            break
        same += 1
    return same


def _title(message: Message) -> str:
    author = message.name if message.role == "tool" and message.name else message.role
    named = f":{message.name}" if message.name and message.role != "tool" else ""
    recipient = f" → {message.recipient}" if message.recipient else ""
    channel = f" · {message.channel}" if message.channel else ""
    return visible(f"{author}{named}{recipient}{channel}".replace("\n", " "))


def _explained(diagnostic: Diagnostic, app: App) -> str:
    said = app.say(key) if (key := meaning(diagnostic.code)) else ""
    detail = visible(diagnostic.detail.replace("\n", "↵"))
    return f"{said} ({detail})" if said and detail else said or detail


def _counts(reading: Reading, app: App) -> Iterator[Text]:
    """Messages and tokens by role and channel; what is learnt of them where a loss mask was asked for."""
    mask = any(token.learnt is not None for token in reading.tokens)
    tally: dict[tuple[str, str, str], list[int]] = {}
    for span in reading.spans:
        message = None if span.message is None else reading.messages[span.message]
        role = app.say(W.OUTSIDE) if message is None else message.role
        channel = (message.channel if message else None) or ""
        row = tally.setdefault((role, channel, kind_of(message)), [0, 0, 0])
        row[0] += message is not None
        row[1] += span.end - span.start
        row[2] += sum(bool(token.learnt) for token in reading.tokens[span.start : span.end])
    total = [sum(row[i] for row in tally.values()) for i in range(3)]
    heads = [W.COL_ROLE, W.COL_CHANNEL, W.COL_MESSAGES, W.COL_TOKENS, W.COL_LEARNT]
    width = 5 if mask else 4
    rows = [[app.say(head) for head in heads][:width]]
    rows += [[role, channel, *map(str, row)][:width] for (role, channel, _), row in tally.items()]
    rows.append([app.say(W.TOTAL), "", *map(str, total)][:width])
    kinds = [None, *(kind for _, _, kind in tally), None]
    for line, kind in zip(aligned(rows, right=frozenset((2, 3, 4))), kinds, strict=True):
        line.stylize(Style(bold=True) if kind is None else Style(color=PALETTE[kind][0]))
        yield line


def _to_dict(
    source: Source, readings: Sequence[Reading], vocabulary: Vocabulary, mask: bool
) -> dict[str, Any]:
    head = {"file": source.name, "kind": source.kind, "vocabulary": vocabulary.tok.name}
    read = [_reading_dict(reading) for reading in readings]
    return {**head, "examples": read} if mask else {**head, **read[0]}


def _reading_dict(reading: Reading) -> dict[str, Any]:
    return {
        "tokens": [_token_dict(token, reading) for token in reading.tokens],
        "messages": [
            {
                "role": message.role,
                "name": message.name,
                "channel": message.channel,
                "recipient": message.recipient,
                "content_type": message.content_type,
                "text": message.text,
                "start": start,
                "end": end,
            }
            for message, (start, end) in zip(reading.messages, reading.places, strict=True)
        ],
        "diagnostics": [
            {"code": d.code, "start": d.start, "end": d.end, "detail": d.detail} for d in reading.diagnostics
        ],
        "prompted": reading.prompted,
    }


def _token_dict(token: Token, reading: Reading) -> dict[str, Any]:
    message = None if token.message is None else reading.messages[token.message]
    fields: dict[str, Any] = {
        "id": token.id,
        "text": token.text,
        "part": token.part,
        "message": token.message,
        "role": message and message.role,
        "channel": message and message.channel,
    }
    if token.text is None:
        fields["bytes"] = None if token.data is None else list(token.data)
    if token.learnt is not None:
        fields["learnt"] = token.learnt
    return fields
