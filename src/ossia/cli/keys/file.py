"""``ossia keys create``, ``list`` and ``revoke``: the file of API keys."""

import json
import sys
from datetime import datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App, command, option
from ossia.cli.keys.words import W
from ossia.cli.messages import M
from ossia.cli.screen import for_stream
from ossia.server.operations import keys
from ossia.server.operations.keys import Key, keys_path

_file_option = option(
    "--file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help=W.OPT_FILE
)


@command("create", help=W.HELP_CREATE)
@click.argument("name", metavar="NAME")
@option("--reasoning/--no-reasoning", "sees_reasoning", default=True, help=W.OPT_REASONING)
@option("--at-once", type=click.IntRange(1), metavar="N", help=W.OPT_AT_ONCE)
@_file_option
@click.pass_obj
def create_command(app: App, name: str, sees_reasoning: bool, at_once: int | None, file: Path | None) -> None:
    path = file or keys_path(app.settings)
    secret = keys.create(path, name, sees_reasoning=sees_reasoning, at_once=at_once)
    click.echo(app.say(W.CREATED, name=for_stream(name, sys.stderr)), err=True)
    click.echo(secret)  # alone on standard output, for scripts


@command("list", help=W.HELP_LIST)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@_file_option
@click.pass_obj
def list_command(app: App, as_json: bool, file: Path | None) -> None:
    found = keys.read(file or keys_path(app.settings))
    if as_json:
        click.echo(json.dumps([_to_dict(key) for key in found], ensure_ascii=False, indent=1))
    elif not found:
        click.echo(app.say(W.NO_KEYS))
    else:
        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        console.print(_table(found, app))


@command("revoke", help=W.HELP_REVOKE)
@click.argument("name", metavar="NAME")
@_file_option
@click.pass_obj
def revoke_command(app: App, name: str, file: Path | None) -> None:
    gone = keys.revoke(file or keys_path(app.settings), name)
    click.echo(app.say(W.REVOKED, name=for_stream(gone.name, sys.stdout), id=gone.id))


def _table(found: list[Key], app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (W.COL_NAME, W.COL_ID, W.COL_CREATED, W.COL_REASONING, W.COL_AT_ONCE):
        table.add_column(app.say(heading), no_wrap=True)
    for key in found:
        table.add_row(
            Text(for_stream(key.name, sys.stdout)),
            key.id,
            datetime.fromtimestamp(key.created).astimezone().strftime("%Y-%m-%d %H:%M"),
            app.say(W.SHOWN if key.sees_reasoning else W.WITHHELD),
            str(key.at_once or ""),
        )
    return table


def _to_dict(key: Key) -> dict[str, object]:
    return {
        "id": key.id,
        "name": key.name,
        "created": key.created,
        "sees_reasoning": key.sees_reasoning,
        "at_once": key.at_once,
    }
