"""Where `ossia run` gets its prompt: the arguments, or standard input, as UTF-8 and nothing else."""

import sys
from collections.abc import Sequence

import click

from ossia.cli.app import App
from ossia.cli.messages import M
from ossia.errors import InputError


def read_prompt(words: Sequence[str], app: App) -> str:
    """Join `words`; without any, or where one is ``-``, read standard input.

    Raises InputError for an empty prompt and for bytes that are not UTF-8, naming the byte and its offset.
    """
    parts = [_from_stdin(app) if word == "-" else checked(word, app) for word in words]
    prompt = " ".join(parts) if words else _from_stdin(app)
    if not prompt.strip():
        raise InputError(app.say(M.EMPTY_PROMPT), value=prompt, remedy=app.say(M.GIVE_PROMPT))
    return prompt


def checked(argument: str, app: App) -> str:
    """Return `argument`; raises InputError where the shell handed over bytes that are not UTF-8."""
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError as error:
        offset = len(argument[: error.start].encode("utf-8"))
        raise InputError(
            app.say(M.BAD_UTF8_ARGUMENT, offset=offset),
            value=ascii(argument[error.start]),
            remedy=app.say(M.MAKE_UTF8),
        ) from error
    return argument


def decode(data: bytes, app: App, *, before: int = 0) -> str:
    """Decode `data`, which began `before` bytes into standard input; raises InputError with the offset."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        offset = before + error.start
        raise InputError(
            app.say(M.BAD_UTF8, byte=data[error.start], offset=offset),
            value=f"0x{data[error.start]:02x}",
            limit="UTF-8",
            remedy=app.say(M.MAKE_UTF8),
        ) from error


def _from_stdin(app: App) -> str:
    if sys.stdin.isatty():
        click.echo(app.say(M.READING_TERMINAL), err=True)
    text = decode(sys.stdin.buffer.read(), app)
    return text.removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
