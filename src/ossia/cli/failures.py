"""How a failure ends: what is written to standard error, and with which code.

Never a traceback without ``--debug``. An `OssiaError` is shown as message, value, limit and remedy; anything
else is a fault in Ossia and says how to get the traceback.
"""

import contextlib
import sys
import traceback
from collections.abc import Collection
from typing import cast

import click

from ossia.cli.app import App
from ossia.cli.messages import M
from ossia.cli.screen import for_stream
from ossia.errors import OssiaError

EXIT_LENGTH = 7  # the answer was cut by the model's context or --max-tokens
EXIT_TURNS = 8  # too many tool turns
EXIT_TIME = 9  # --timeout
EXIT_NO_ANSWER = 10  # the model ended without a final answer, or with an empty one
EXIT_REPETITION = 11  # the model only repeated itself
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE = 141  # 128 + SIGPIPE: the reader of our output went away


def report(error: BaseException, app: App) -> int:
    """Write what `error` means to standard error and return the exit code."""
    if app.debug:
        traceback.print_exception(error)
    if isinstance(error, OssiaError):
        _write(describe(error, app))
        return error.exit_code
    if isinstance(error, click.ClickException):
        _write(_usage(error, app))
        return error.exit_code
    if isinstance(error, KeyboardInterrupt | click.Abort):
        _write(app.say(M.INTERRUPTED))
        return EXIT_INTERRUPTED
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    _write(app.say(M.ERROR, text=app.say(M.UNEXPECTED, text=text)))
    return 1


def describe(error: OssiaError, app: App) -> str:
    """Return the lines that show `error` in the user's language: what, value, limit, remedy."""
    lines = [app.say(M.ERROR, text=_headline(error, app))]
    if error.value is not None:
        lines.append("  " + app.say(M.VALUE, value=_short(error.value)))
    if error.limit is not None and (limit := _short(error.limit)):
        lines.append("  " + app.say(M.LIMIT, limit=limit))
    if error.remedy:
        lines.append("  " + app.say(M.REMEDY, remedy=error.remedy))
    return "\n".join(lines)


def _headline(error: OssiaError, app: App) -> str:
    if app.lang == "en" or not error.message.isascii():
        return error.message
    # The rooms below speak English: put the kind of error in front in the user's language.
    for kind in type(error).__mro__:
        key = f"ERR_{kind.__name__}"
        if key in M.__members__:
            return f"{app.say(M[key])} ({error.message})"
    return error.message


def _short(value: object) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        items = [str(item) for item in cast(Collection[object], value)]
        return ", ".join(items[:12]) + (", …" if len(items) > 12 else "")
    text = str(value)
    return text if len(text) <= 200 else text[:199] + "…"


def _usage(error: click.ClickException, app: App) -> str:
    text = error.format_message()
    hints: list[str] = []
    if isinstance(error, click.NoSuchOption):
        text = app.say(M.NO_SUCH_OPTION, name=error.option_name)
    elif isinstance(error, click.NoSuchCommand):
        text = app.say(M.NO_SUCH_COMMAND, name=error.command_name)
    elif isinstance(error, click.UsageError):
        text = app.say(M.BAD_VALUE, text=text)
    if near := list(getattr(error, "possibilities", None) or ()):
        hints.append(app.say(M.DID_YOU_MEAN, names=", ".join(near)))
    if isinstance(error, click.UsageError) and error.ctx is not None:
        hints.append(app.say(M.SEE_HELP, command=error.ctx.command_path))
    return "\n  ".join([app.say(M.ERROR, text=text), *hints])


def _write(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody reads; the exit code says it
        click.echo(for_stream(text, sys.stderr), err=True)
