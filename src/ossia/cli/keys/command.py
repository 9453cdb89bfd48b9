"""``ossia keys``: its table of commands."""

import click

from ossia.cli.app import CommandTable, group, show_help_if_alone
from ossia.cli.keys.words import W

_TABLE: CommandTable = {
    "create": ("ossia.cli.keys.file", W.CMD_CREATE),
    "list": ("ossia.cli.keys.file", W.CMD_LIST),
    "revoke": ("ossia.cli.keys.file", W.CMD_REVOKE),
}


@group("keys", help=W.HELP_KEYS, table=_TABLE)
@click.pass_context
def keys_command(ctx: click.Context) -> None:
    show_help_if_alone(ctx)
