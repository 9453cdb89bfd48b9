"""``ossia store export``, ``import`` and ``clear``: the store as JSON Lines, and emptying it."""

import os
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import IO

import click

from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.store.words import W
from ossia.errors import InputError
from ossia.hub.cache import full_disk_is_typed, sync_folder
from ossia.server.store.database import connect, store_path, typed_errors
from ossia.server.store.migrations import prepare
from ossia.server.store.transfer import export_lines, import_lines
from ossia.server.store.upkeep import clear, reading


@command("export", help=W.HELP_EXPORT)
@click.argument("file", metavar="FILE", default="-")
@click.pass_obj
def export_command(app: App, file: str) -> None:
    path = store_path(app.settings)
    with reading(path) as db:
        if db is None:
            raise InputError(app.say(W.NOTHING, path=path), value=str(path))
        if file == "-":
            sys.stdout.writelines(export_lines(db))
            return
        with _written_whole(Path(file)) as target:
            number = sum(bool(target.write(line)) for line in export_lines(db)) - 1
    click.echo(app.say(W.EXPORTED, number=f"{number:,}", file=file))


@command("import", help=W.HELP_IMPORT)
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.pass_obj
def import_command(app: App, file: str) -> None:
    path = store_path(app.settings)
    with typed_errors(path), click.open_file(file, "rb") as lines:
        prepare(path)
        with closing(connect(path)) as db:
            done = import_lines(db, lines)
    click.echo(app.say(W.IMPORTED, added=f"{done.added:,}", skipped=f"{done.skipped:,}"))


@command("clear", help=W.HELP_CLEAR)
@option("--yes", "-y", is_flag=True, help=M.OPT_YES)
@click.pass_obj
def clear_command(app: App, yes: bool) -> None:
    path = store_path(app.settings)
    if not path.exists():
        click.echo(app.say(W.NOTHING, path=path))
        return
    if not yes:
        _ask(path, app)
    before = clear(path)
    click.echo(app.say(W.CLEARED, path=path, **{name: f"{n:,}" for name, n in before.items()}))


def _ask(path: Path, app: App) -> None:
    if not sys.stdin.isatty():
        raise InputError(app.say(W.NEEDS_YES, path=path), value=str(path), remedy=app.say(M.GIVE_YES))
    click.confirm(app.say(W.ASK_CLEAR, path=path), abort=True, err=True)


@contextmanager
def _written_whole(path: Path) -> Generator[IO[str]]:
    """A file for this user only that appears under its name when all of it is on the disk."""
    handle, name = mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with full_disk_is_typed(path.parent, path.name), os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
