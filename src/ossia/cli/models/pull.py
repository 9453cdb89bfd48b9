"""``ossia pull``: fetch a model, with progress; what an interruption left is resumed."""

from dataclasses import replace
from pathlib import Path

import click
from huggingface_hub import constants

from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.hub.names import resolve
from ossia.hub.pull import pull
from ossia.hub.sources import installed_names
from ossia.settings import Settings


@command("pull", help=M.HELP_PULL)
@click.argument("name", metavar="NAME")
@option("--base", type=click.Path(path_type=Path), metavar="PATH", help=M.OPT_BASE)
@click.pass_obj
def pull_command(app: App, name: str, base: Path | None) -> None:
    settings = replace(app.settings, pocket_base=base) if base else app.settings
    path = fetch(name, settings)
    click.echo(app.say(M.PULLED, name=resolve(name, installed_names(settings)), path=path))


def fetch(name: str, settings: Settings) -> Path:
    """Pull `name` with progress on standard error and return its folder."""
    # The user agent of huggingface_hub would else list the libraries installed here.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    with showing_progress() as progress:
        return pull(name, progress=progress, settings=settings)
