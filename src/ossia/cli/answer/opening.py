"""From the options of a command to an open model and a chat: what `chat` and `run` share."""

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import click

from ossia.agent.model import Chat, Model
from ossia.cli.answer.language import mostly_english, mostly_korean
from ossia.cli.app import App, option
from ossia.cli.messages import M, message
from ossia.cli.screen import visible
from ossia.errors import InputError
from ossia.harmony.messages import EFFORTS, Effort
from ossia.hub.default import choose_default, remember
from ossia.hub.load import load
from ossia.hub.sources import locate
from ossia.tools.base import Tool
from ossia.tools.calculator import calculator

TOOLBOX: dict[str, Callable[[], Tool]] = {"calculator": calculator}
"""The tools that the command line can offer a model, by name."""


@dataclass(slots=True)
class Wishes:
    """What the options of `chat` and `run` ask for; `sampling` (and limits) holds only what was given."""

    efforts: tuple[Effort, ...] = ("medium",)
    system: str | None = None
    tools: bool = True
    stop: tuple[str, ...] = ()
    tool_choice: str = "auto"
    response_format: dict[str, Any] | None = None
    sampling: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded model and the place it was found in, as it is shown."""

    model: Model
    place: str


def answering_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that shape an answer; `wishes()` reads them."""
    for decorate in reversed(
        (
            option("--system", metavar="TEXT", help=M.OPT_SYSTEM),
            option("--tools/--no-tools", default=True, help=M.OPT_TOOLS),
            option("--max-tokens", type=click.IntRange(1), metavar="N", help=M.OPT_MAX_TOKENS),
            option("--temperature", type=click.FloatRange(0, 2), metavar="T", help=M.OPT_TEMPERATURE),
            option("--top-p", type=click.FloatRange(0, 1, min_open=True), metavar="P", help=M.OPT_TOP_P),
            option("--seed", type=int, metavar="N", help=M.OPT_SEED),
            option("--max-reasoning-tokens", type=click.IntRange(0), metavar="N", help=M.OPT_MAX_REASONING),
            option("--grammar/--no-grammar", default=True, help=M.OPT_GRAMMAR),
        )
    ):
        command = decorate(command)
    return command


def constraining_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that constrain an answer; `wishes()` reads them."""
    file = click.Path(dir_okay=False, path_type=Path)
    command = option("--json-schema", type=file, metavar="FILE", help=M.OPT_JSON_SCHEMA)(command)
    return option("--tool-choice", metavar="CHOICE", help=M.OPT_TOOL_CHOICE)(command)


def wishes(app: App, options: dict[str, Any]) -> Wishes:
    """Read the values of the options above, of ``--effort`` and ``--stop``; raises InputError."""
    names = ("max_tokens", "max_reasoning_tokens", "temperature", "top_p", "seed", "timeout_s", "grammar")
    sampling = {name: options.get(name) for name in names}
    schema: Path | None = options.get("json_schema")
    return Wishes(
        efforts=parse_efforts(options.get("effort") or "medium", app),
        system=options.get("system"),
        tools=bool(options.get("tools", True)),
        stop=tuple(options.get("stop") or ()),
        tool_choice=options.get("tool_choice") or "auto",
        response_format=None if schema is None else _read_schema(schema, app),
        sampling={name: value for name, value in sampling.items() if value is not None},
    )


def _read_schema(path: Path, app: App) -> dict[str, Any]:
    """The JSON Schema in a file; raises InputError where there is none."""
    try:
        schema: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        said = app.say(M.CANNOT_OPEN, path=path, why=error.strerror or error)
        raise InputError(said, value=str(path), remedy=app.say(M.OTHER_NAME)) from error
    except (ValueError, RecursionError) as error:
        raise _no_schema(path, str(error), app) from error
    if not isinstance(schema, dict):
        raise _no_schema(path, type(schema).__name__, app)
    return cast(dict[str, Any], schema)


def _no_schema(path: Path, why: str, app: App) -> InputError:
    said = app.say(M.NO_SCHEMA, path=path, why=why)
    return InputError(said, value=str(path), remedy=app.say(M.GIVE_SCHEMA))


def parse_efforts(text: str, app: App) -> tuple[Effort, ...]:
    """Read ``low``, or several as ``low,high``; raises InputError for anything else."""
    return tuple(dict.fromkeys(parse_effort(word, app) for word in text.split(",")))


def parse_effort(text: str, app: App) -> Effort:
    """Read one effort; raises InputError in the user's language."""
    for effort in EFFORTS:
        if effort == text.strip().lower():
            return effort
    raise InputError(
        app.say(M.BAD_EFFORT, value=text), value=text, limit=EFFORTS, remedy=app.say(M.GIVE_EFFORT)
    )


def open_model(app: App, *, remembering: bool = False) -> Opened:
    """Load the model that was asked for, or the default one, saying so on a terminal's standard error.

    With `remembering`, a model named by ``--model`` becomes the default of the next run.
    """
    name: str | None = app.extra.get("model")
    if app.load is not None:
        return Opened(app.load(name, app.settings), "")
    found = locate(choose_default(name, app.settings), app.settings)
    with _saying(app.say(M.LOADING, model=found.name)):
        model = load(str(found.path) if found.source == "folder" else found.name, settings=app.settings)
    if remembering and name is not None:
        remember(found, app.settings)
    return Opened(model, _short_path(found.path))


@contextmanager
def _saying(text: str) -> Generator[None]:
    """Show `text` on standard error while the block runs, where that is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(visible(text), nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\r\x1b[2K", nl=False, err=True)


def _short_path(path: Path) -> str:
    try:
        return f"~/{path.relative_to(Path.home())}"
    except ValueError:
        return str(path)


def new_chat(model: Model, wanted: Wishes, effort: Effort) -> Chat:
    """Begin a conversation as the options ask for it."""
    tools = [make() for make in TOOLBOX.values()] if wanted.tools else []
    return model.chat(
        system=wanted.system,
        tools=tools,
        effort=effort,
        stop=wanted.stop,
        tool_choice=wanted.tool_choice,
        response_format=wanted.response_format,
        **wanted.sampling,
    )


def english_only_note(model: Model, text: str, app: App) -> str | None:
    """Return what to say once when an English-only model is asked in another language, else None."""
    if not model.card.english_only or mostly_english(text):
        return None
    lang = "ko" if mostly_korean(text) else app.lang
    return message(M.ENGLISH_ONLY, lang, model=model.card.name)
