"""``ossia harmony``: its table of commands."""

import click

from ossia.cli.app import CommandTable, group, show_help_if_alone
from ossia.cli.harmony.words import W

_TABLE: CommandTable = {
    "show": ("ossia.cli.harmony.show", W.CMD_SHOW),
    "lint": ("ossia.cli.harmony.lint", W.CMD_LINT),
    "diff": ("ossia.cli.harmony.diff", W.CMD_DIFF),
}


@group("harmony", help=W.HELP_HARMONY, table=_TABLE)
@click.pass_context
def harmony_command(ctx: click.Context) -> None:
    show_help_if_alone(ctx)
