"""``ossia store show`` and ``search``: how much is kept, and where words were said."""

import json
import sys
from dataclasses import asdict
from datetime import datetime

import click

from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.screen import for_stream
from ossia.cli.store.words import W
from ossia.hub.cache import human
from ossia.server.store.database import store_path
from ossia.server.store.records import Hit
from ossia.server.store.search import search
from ossia.server.store.upkeep import counts, files_of, reading


@command("show", help=W.HELP_SHOW)
@click.pass_obj
def show_command(app: App) -> None:
    path = store_path(app.settings)
    with reading(path) as db:
        if db is None:
            click.echo(app.say(W.NOTHING, path=path))
            return
        size = human(sum(file.stat().st_size for file in files_of(path)))
        click.echo(app.say(W.KEPT, size=size, path=path, **{k: f"{n:,}" for k, n in counts(db).items()}))


@command("search", help=W.HELP_SEARCH)
@click.argument("text", metavar="TEXT", nargs=-1, required=True)
@option("--limit", type=click.IntRange(1, 10_000), default=20, metavar="N", help=W.OPT_LIMIT)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def search_command(app: App, text: tuple[str, ...], limit: int, as_json: bool) -> None:
    path = store_path(app.settings)
    with reading(path) as db:
        hits = [] if db is None else search(db, None, " ".join(text), limit=limit)
    if as_json:
        click.echo(json.dumps([asdict(hit) for hit in hits], ensure_ascii=False, indent=1))
        return
    for hit in hits:
        click.echo(for_stream(_line(hit), sys.stdout))
    if not hits:
        click.echo(app.say(W.NOT_FOUND), err=True)


def _line(hit: Hit) -> str:
    said = datetime.fromtimestamp(hit.created_at).strftime("%Y-%m-%d %H:%M")
    return f"{said}  {hit.conversation_id or hit.id}  {hit.excerpt}"
