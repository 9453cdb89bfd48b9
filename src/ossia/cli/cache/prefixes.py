"""``ossia cache show`` and ``clear``: what computed prompts take of the disk, and removing them."""

from contextlib import suppress
from pathlib import Path

import click

from ossia.cli.app import App, command, prefix_cache_option
from ossia.cli.cache.words import W
from ossia.engine.snapshots import kept_files, remove_all
from ossia.hub.cache import human
from ossia.hub.load import prefix_folder


@command("show", help=W.HELP_SHOW)
@prefix_cache_option
@click.pass_obj
def show_command(app: App) -> None:
    folder, limit = prefix_folder(app.settings), app.settings.prefix_cache_bytes
    files = kept_files(folder)
    size = human(sum(_size(file) for file in files))
    click.echo(app.say(W.KEPT, size=size, files=f"{len(files):,}", folder=folder))
    click.echo(app.say(W.OFF) if limit is None else app.say(W.ON, limit=human(limit)))


@command("clear", help=W.HELP_CLEAR)
@prefix_cache_option
@click.pass_obj
def clear_command(app: App) -> None:
    folder = prefix_folder(app.settings)
    click.echo(app.say(W.CLEARED, size=human(remove_all(folder)), folder=folder))


def _size(file: Path) -> int:
    """Bytes of a file; none where another process has just removed it."""
    with suppress(OSError):
        return file.stat().st_size
    return 0
