"""What every command shares: the context object, options with translated help, the choice of a model.

`App.load` is the seam for tests: put another loader there and no checkpoint is opened.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from ossia.cli.messages import M, message
from ossia.settings import Lang, Numerics, Settings

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

    def say(self, key: M, **values: object) -> str:
        """Return the message in the user's language."""
        return message(key, self.lang, **values)


class LocalOption(click.Option):
    """An option whose `help` is the name of a message."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.help:
            return record
        return record[0], record[1].replace(self.help, lookup(ctx, self.help))


class LocalCommand(click.Command):
    """A command whose `help` is the name of a message, with the common options added."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = [p for p in super().get_params(ctx) if p.name != "_click_default_help"]
        names = {p.name for p in own}
        common = [p for p in COMMON_OPTIONS if p.name not in names]
        helping = self.get_help_option(ctx)
        return [*own, *common, *([helping] if helping else [])]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.help = lookup(ctx, M.OPT_HELP.name)
        return option

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=lookup(ctx, M.USAGE.name))

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.indentation():
            for paragraph in lookup(ctx, self.help or "").split("\n\n"):
                formatter.write_paragraph()
                formatter.write_text(paragraph)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = [p.get_help_record(ctx) for p in options]
        with formatter.section(lookup(ctx, M.OPTIONS.name)):
            formatter.write_dl([r for r in records if r])


def lookup(ctx: click.Context, name: str) -> str:
    """Return the message called `name` in the user's language."""
    return ctx.ensure_object(App).say(M[name])


def option(*names: str, help: M, **attributes: Any) -> Callable[[_Callback], _Callback]:
    """Like `click.option`, with the help taken from the catalogue."""
    return click.option(*names, cls=LocalOption, help=help.name, **attributes)


def command(name: str, help: M, **attributes: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Like `click.command`, with translated help and the options every command has."""
    return click.command(name, cls=LocalCommand, help=help.name, **attributes)


def model_option(callback: _Callback) -> _Callback:
    """Add ``-m/--model``; given before the command's name it counts as well."""
    return option(
        "-m", "--model", metavar="MODEL", expose_value=False, callback=_set_model, help=M.OPT_MODEL
    )(callback)


def _set_model(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(App).extra["model"] = value


def _set_setting(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    if value is not None and ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        app = ctx.ensure_object(App)
        app.settings = replace(app.settings, **{param.name: value})


def _set_debug(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).debug = True


def _common_options() -> list[click.Parameter]:
    shared: dict[str, Any] = {"expose_value": False, "callback": _set_setting}
    threads, numerics, langs = click.IntRange(1, 1024), click.Choice(get_args(Numerics)), get_args(Lang)
    return [
        LocalOption(["--numerics"], type=numerics, help=M.OPT_NUMERICS.name, **shared),
        LocalOption(["--threads"], type=threads, metavar="N", help=M.OPT_THREADS.name, **shared),
        LocalOption(["--lang"], type=click.Choice(langs), is_eager=True, help=M.OPT_LANG.name, **shared),
        LocalOption(
            ["--debug"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_set_debug,
            help=M.OPT_DEBUG.name,
        ),
    ]


COMMON_OPTIONS = tuple(_common_options())
