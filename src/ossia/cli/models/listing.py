"""``ossia models`` and ``ossia rm``: what is on this computer, and taking it away."""

import json
import sys

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App, command, option
from ossia.cli.messages import M
from ossia.cli.screen import for_stream
from ossia.errors import InputError
from ossia.hub.cache import human
from ossia.hub.default import choose_default
from ossia.hub.names import ModelName, resolve
from ossia.hub.remove import remove
from ossia.hub.sources import FoundModel, find_models, locate

_SOURCES = {
    "ossia": "Ossia",
    "huggingface": "Hugging Face",
    "ollama": "Ollama",
    "lmstudio": "LM Studio",
}


@command("models", help=M.HELP_MODELS)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def models_command(app: App, as_json: bool) -> None:
    found = find_models(app.settings)
    if as_json:
        click.echo(json.dumps([_to_dict(model) for model in found], ensure_ascii=False, indent=1))
    elif not found:
        click.echo(app.say(M.NO_MODELS))
    else:
        console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            console.width = 200  # for a pipe: one model per line, nothing cut
        console.print(_table(found, _default_name(found, app), app))


@command("rm", help=M.HELP_RM)
@click.argument("name", metavar="NAME")
@option("--yes", "-y", is_flag=True, help=M.OPT_YES)
@option("--shared", is_flag=True, help=M.OPT_SHARED)
@click.pass_obj
def rm_command(app: App, name: str, yes: bool, shared: bool) -> None:
    model = locate(name, app.settings)
    if not yes and model.source in ("ossia", "huggingface"):
        _ask(model, app)
    gone = remove(name, shared=shared, settings=app.settings)
    click.echo(app.say(M.REMOVED, name=gone.name, size=human(gone.size_bytes)))


def _ask(model: FoundModel, app: App) -> None:
    if not sys.stdin.isatty():
        raise InputError(app.say(M.NEEDS_YES, name=model.name), value=model.name, remedy=app.say(M.GIVE_YES))
    question = app.say(M.ASK_REMOVE, name=model.name, size=human(model.size_bytes), path=model.path)
    click.confirm(question, abort=True, err=True)


def _default_name(found: list[FoundModel], app: App) -> ModelName | None:
    names = [model.name for model in found]
    return resolve(choose_default(None, app.settings), names)


def _table(found: list[FoundModel], default: ModelName | None, app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (M.COL_NAME, M.COL_SOURCE, M.COL_FORMAT):
        table.add_column(app.say(heading), no_wrap=True)
    table.add_column(app.say(M.COL_SIZE), no_wrap=True, justify="right")
    table.add_column(app.say(M.COL_USABLE), overflow="fold")
    for model in found:
        mark = " *" if default is not None and model.name == default.id and model.loadable else ""
        table.add_row(
            _text(model.name + mark),
            _SOURCES.get(model.source, model.source),
            model.format,
            human(model.size_bytes),
            _text(_usable(model, app)),
        )
    if default is not None:
        table.caption = app.say(M.STAR_DEFAULT)
        table.caption_justify = "left"
    return table


def _usable(model: FoundModel, app: App) -> str:
    if model.loadable:
        return app.say(M.YES)
    return model.missing


def _text(text: str) -> Text:
    return Text(for_stream(text, sys.stdout))


def _to_dict(model: FoundModel) -> dict[str, object]:
    return {
        "name": model.name,
        "source": model.source,
        "path": str(model.path),
        "format": model.format,
        "size_bytes": model.size_bytes,
        "usable": model.loadable,
        "missing": model.missing or None,
        "synthetic": model.synthetic,
    }
