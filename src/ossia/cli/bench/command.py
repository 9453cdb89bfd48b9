"""``ossia bench``: its table of commands."""

import click

from ossia.cli.app import CommandTable, group, show_help_if_alone
from ossia.cli.bench.words import W

_TABLE: CommandTable = {
    "make": ("ossia.cli.bench.make", W.CMD_MAKE),
    "depth": ("ossia.cli.bench.depth", W.CMD_DEPTH),
    "run": ("ossia.cli.bench.run", W.CMD_RUN),
}


@group("bench", help=W.HELP_BENCH, table=_TABLE)
@click.pass_context
def bench_command(ctx: click.Context) -> None:
    show_help_if_alone(ctx)
