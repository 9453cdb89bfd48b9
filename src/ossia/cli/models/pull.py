"""``ossia pull``: fetch a model, with progress; what an interruption left is resumed."""

from dataclasses import replace
from pathlib import Path

import click

from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.hub.names import resolve
from ossia.hub.pull import pull
from ossia.hub.sources import installed_names


@command("pull", help=M.HELP_PULL)
@click.argument("name", metavar="NAME")
@option("--base", type=click.Path(path_type=Path), metavar="PATH", help=M.OPT_BASE)
@click.pass_obj
def pull_command(app: App, name: str, base: Path | None) -> None:
    settings = replace(app.settings, pocket_base=base) if base else app.settings
    with showing_progress() as progress:
        path = pull(name, progress=progress, settings=settings)
    click.echo(app.say(M.PULLED, name=resolve(name, installed_names(settings)), path=path))
