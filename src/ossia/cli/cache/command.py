"""``ossia cache``: its table of commands."""

import click

from ossia.cli.app import CommandTable, group, show_help_if_alone
from ossia.cli.cache.words import W

_TABLE: CommandTable = {
    "show": ("ossia.cli.cache.prefixes", W.CMD_SHOW),
    "clear": ("ossia.cli.cache.prefixes", W.CMD_CLEAR),
}


@group("cache", help=W.HELP_CACHE, table=_TABLE)
@click.pass_context
def cache_command(ctx: click.Context) -> None:
    show_help_if_alone(ctx)
