"""``ossia store``: its table of commands."""

import click

from ossia.cli.app import CommandTable, group, show_help_if_alone
from ossia.cli.store.words import W

_TABLE: CommandTable = {
    "show": ("ossia.cli.store.reading", W.CMD_SHOW),
    "search": ("ossia.cli.store.reading", W.CMD_SEARCH),
    "export": ("ossia.cli.store.moving", W.CMD_EXPORT),
    "import": ("ossia.cli.store.moving", W.CMD_IMPORT),
    "clear": ("ossia.cli.store.moving", W.CMD_CLEAR),
}


@group("store", help=W.HELP_STORE, table=_TABLE)
@click.pass_context
def store_command(ctx: click.Context) -> None:
    show_help_if_alone(ctx)
