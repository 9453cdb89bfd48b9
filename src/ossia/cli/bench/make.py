"""``ossia bench make``: write a checkpoint of random weights."""

import click

from ossia.bench.make import make_checkpoint
from ossia.bench.random_weights import Routing
from ossia.bench.shapes import SHAPES
from ossia.cli.app import App, command, option
from ossia.cli.bench.words import W
from ossia.cli.models.progress import showing_progress
from ossia.hub.cache import human


@command("make", help=W.HELP_MAKE)
@option("--shape", type=click.Choice(SHAPES), default="20b", show_default=True, help=W.OPT_SHAPE)
@option("--layers", type=click.IntRange(1, 1000), metavar="N", help=W.OPT_LAYERS)
@option(
    "--routing",
    type=click.Choice(["uniform", "zipf"]),
    default="uniform",
    show_default=True,
    help=W.OPT_ROUTING,
)
@option("--seed", type=click.IntRange(0), default=0, metavar="N", help=W.OPT_SEED)
@click.pass_obj
def make_command(app: App, shape: str, layers: int | None, routing: Routing, seed: int) -> None:
    with showing_progress() as progress:
        made = make_checkpoint(
            shape, layers=layers, seed=seed, routing=routing, progress=progress, settings=app.settings
        )
    said = W.MADE if made.written_bytes else W.ALREADY_MADE
    click.echo(app.say(said, path=made.path, size=human(made.size_bytes), name=made.path.name))
