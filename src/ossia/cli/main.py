"""The entry point: the table of commands, and the frame for errors."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

import click

import ossia
from ossia.cli import screen
from ossia.cli.app import App, CommandTable, group, model_option, option, show_help_if_alone
from ossia.cli.failures import EXIT_PIPE, report
from ossia.cli.messages import M
from ossia.settings import Settings, load_settings

_TABLE: CommandTable = {
    "chat": ("ossia.cli.chat.command", M.CMD_CHAT),
    "run": ("ossia.cli.answer.run", M.CMD_RUN),
    "serve": ("ossia.cli.serve.command", M.CMD_SERVE),
    "keys": ("ossia.cli.keys.command", M.CMD_KEYS),
    "models": ("ossia.cli.models.listing", M.CMD_MODELS),
    "pull": ("ossia.cli.models.pull", M.CMD_PULL),
    "rm": ("ossia.cli.models.listing", M.CMD_RM),
    "info": ("ossia.cli.models.info", M.CMD_INFO),
    "harmony": ("ossia.cli.harmony.command", M.CMD_HARMONY),
    "tokens": ("ossia.cli.tokens.command", M.CMD_TOKENS),
    "cache": ("ossia.cli.cache.command", M.CMD_CACHE),
    "launch": ("ossia.cli.launch.command", M.CMD_LAUNCH),
    "store": ("ossia.cli.store.command", M.CMD_STORE),
    "bench": ("ossia.cli.bench.command", M.CMD_BENCH),
}


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        click.echo(f"ossia {ossia.__version__}")
        ctx.exit()


@group(
    "ossia",
    help=M.ABOUT,
    table=_TABLE,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@model_option
@option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help=M.OPT_VERSION
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    show_help_if_alone(ctx)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line with `argv` (the process's arguments by default) and end the process."""
    screen.forgive_encodings()
    sys.exit(execute(sys.argv[1:] if argv is None else argv))


def execute(argv: Sequence[str], app: App | None = None) -> int:
    """Run one command and return its exit code; every failure is reported, none is raised.

    `app` carries what a test puts in the place of the environment and of the hub's loader.
    """
    frame = app
    try:
        frame = app or App(_settings(argv))
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            # Not `cli.main`: it would handle a closed pipe and Ctrl-C in its own way.
            with cli.make_context("ossia", list(argv), obj=frame) as context:
                result: Any = cli.invoke(context)
        sys.stdout.flush()
    except BrokenPipeError:
        screen.close_quietly()
        return EXIT_PIPE
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except (Exception, KeyboardInterrupt) as error:
        return report(error, frame or _frame_for(argv))
    return result if isinstance(result, int) else 0


def _show_warning(message: Warning | str, *_: Any) -> None:
    click.echo(screen.for_stream(f"! {message}", sys.stderr), err=True)


def _settings(argv: Sequence[str]) -> Settings:
    return _speaking(load_settings(), argv)


def _frame_for(argv: Sequence[str]) -> App:
    # The environment itself is at fault: speak the language of the locale.
    return App(_speaking(load_settings({}), argv), debug="--debug" in argv)


def _speaking(settings: Settings, argv: Sequence[str]) -> Settings:
    # The language must be known before click writes any help: --help may stand before --lang.
    for before, word in zip(["", *argv], argv, strict=False):
        asked = word.removeprefix("--lang=") if before != "--lang" else word
        if asked in ("en", "ko") and (before == "--lang" or asked != word):
            return replace(settings, lang=asked)
    return settings
