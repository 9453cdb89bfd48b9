"""What every command shares: the context object, translated help, late imports, the choice of a model.

Help is a member of a catalogue (any Enum of `messages.Text`: `M`, or a command family's own `words.W`).
`App.load` is the seam for tests: put another loader there and no checkpoint is opened.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from importlib import import_module
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from ossia.cli.messages import M, message
from ossia.settings import KVKind, Lang, Numerics, Settings, parse_size, read_prefix_cache

CommandTable = Mapping[str, tuple[str, Enum]]
"""For each command the module that holds ``<name>_command``, and its line in the group's help."""

_Callback = TypeVar("_Callback", bound=Callable[..., Any])


@dataclass(slots=True)
class App:
    """The state of one run of the command line, in click's context object.

    `load(name, settings)` returns an `ossia.agent.model.Model`; None means the hub's.
    """

    settings: Settings
    debug: bool = False
    load: Callable[[str | None, Settings], Any] | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def lang(self) -> Lang:
        return self.settings.lang

    def say(self, key: Enum, **values: object) -> str:
        """Return the message in the user's language."""
        return message(key, self.lang, **values)


class LocalOption(click.Option):
    """An option whose help is a member of a catalogue; click itself is given the English."""

    def __init__(self, names: list[str], *, about: Enum, **attributes: Any) -> None:
        super().__init__(names, help=about.value.en, **attributes)
        self.about = about

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.help:
            return record
        return record[0], record[1].replace(self.help, lookup(ctx, self.about))


class LocalCommand(click.Command):
    """A command whose help is a member of a catalogue, with the common options added."""

    def __init__(self, name: str | None, *, about: Enum, **attributes: Any) -> None:
        super().__init__(name, **{**attributes, "help": about.value.en})  # click's decorator adds a help too
        self.about = about

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = [p for p in super().get_params(ctx) if p.name != "_click_default_help"]
        names = {p.name for p in own}
        common = [p for p in COMMON_OPTIONS if p.name not in names]
        helping = self.get_help_option(ctx)
        return [*own, *common, *([helping] if helping else [])]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = lookup(ctx, M.OPT_HELP)
        return option

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=lookup(ctx, M.USAGE))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.indentation():
            for paragraph in lookup(ctx, self.about).split("\n\n"):
                formatter.write_paragraph()
                formatter.write_text(paragraph)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = [p.get_help_record(ctx) for p in options]
        with formatter.section(lookup(ctx, M.OPTIONS)):
            formatter.write_dl([r for r in records if r])


class LazyGroup(LocalCommand, click.Group):
    """A group that imports a command only when it is called; its help comes from the table alone."""

    def __init__(self, name: str | None, *, about: Enum, table: CommandTable, **attributes: Any) -> None:
        super().__init__(name, about=about, invoke_without_command=True, **attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        return getattr(import_module(self.table[cmd_name][0]), f"{cmd_name}_command")

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.table and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=list(self.table), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section(lookup(ctx, M.COMMANDS)):
            formatter.write_dl([(name, lookup(ctx, about)) for name, (_, about) in self.table.items()])
        super().format_options(ctx, formatter)


def lookup(ctx: click.Context, key: Enum) -> str:
    """Return a catalogue's message in the user's language."""
    return ctx.ensure_object(App).say(key)


def option(*names: str, help: Enum, **attributes: Any) -> Callable[[_Callback], _Callback]:
    """Like `click.option`, with the help taken from a catalogue."""
    return click.option(*names, cls=LocalOption, about=help, **attributes)


def command(name: str, help: Enum, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Like `click.command`, with translated help and the options every command has."""
    return click.command(name, cls=LocalCommand, about=help, **attributes)


def group(
    name: str, help: Enum, table: CommandTable, **attributes: Any
) -> Callable[[Callable[..., Any]], LazyGroup]:
    """Like `click.group`, with translated help and commands imported when they are called.

    The decorated function is also called without a command: show the help then (`show_help_if_alone`).
    """
    return click.command(name, cls=LazyGroup, about=help, table=table, **attributes)


def show_help_if_alone(ctx: click.Context) -> None:
    """Print a group's help where no command of it was given."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _set_model(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(App).extra["model"] = value


def model_option_about(help: Enum) -> Callable[[_Callback], _Callback]:
    """Add ``-m/--model`` with that help; given before the command's name it counts as well."""
    return option("-m", "--model", metavar="MODEL", expose_value=False, callback=_set_model, help=help)


model_option = model_option_about(M.OPT_MODEL)


def _set_setting(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        app = ctx.ensure_object(App)
        app.settings = replace(app.settings, **{param.name: value})


speculation_option = option(
    "--speculation/--no-speculation",
    default=True,
    expose_value=False,
    callback=_set_setting,
    help=M.OPT_SPECULATION,
)
"""Whether answers are guessed ahead; for commands that load a model to talk to it."""


def _set_prefix_cache(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        app = ctx.ensure_object(App)
        size, folder = read_prefix_cache(value, "--prefix-cache")
        app.settings = replace(app.settings, prefix_cache_bytes=size, prefix_cache_dir=folder)


prefix_cache_option = option(
    "--prefix-cache",
    metavar="on|off|SIZE|FOLDER",
    expose_value=False,
    callback=_set_prefix_cache,
    help=M.OPT_PREFIX_CACHE,
)
"""Whether computed prompts are kept on the disk, and where; for the same commands."""


screened_head_option = option(
    "--screened-head/--no-screened-head",
    default=True,
    expose_value=False,
    callback=_set_setting,
    help=M.OPT_SCREENED_HEAD,
)
"""Whether tokens are chosen by half of the LM head; for commands that load a model."""


def _set_max_memory(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is None:
        return
    app, size = ctx.ensure_object(App), parse_size(value)
    if size is None:
        raise click.BadParameter(app.say(M.NOT_A_SIZE, value=value), ctx, param)
    app.settings = replace(app.settings, max_memory_bytes=size)


memory_option = option(
    "--max-memory", metavar="SIZE", expose_value=False, callback=_set_max_memory, help=M.OPT_MAX_MEMORY
)
"""Adds ``--max-memory`` to a command that loads a model."""


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).debug = True


def _common_options() -> list[click.Parameter]:
    shared: dict[str, Any] = {"expose_value": False, "callback": _set_setting}
    threads, numerics, langs = click.IntRange(1, 1024), click.Choice(get_args(Numerics)), get_args(Lang)
    return [
        LocalOption(["--numerics"], type=numerics, about=M.OPT_NUMERICS, **shared),
        LocalOption(["--kv-cache"], type=click.Choice(get_args(KVKind)), about=M.OPT_KV_CACHE, **shared),
        LocalOption(["--threads"], type=threads, metavar="N", about=M.OPT_THREADS, **shared),
        LocalOption(["--lang"], type=click.Choice(langs), is_eager=True, about=M.OPT_LANG, **shared),
        LocalOption(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_set_debug,
            about=M.OPT_DEBUG,
        ),
    ]


COMMON_OPTIONS = tuple(_common_options())
