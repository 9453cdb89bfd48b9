"""The chat without a terminal: one line, one question; one answer, plain text."""

import sys

import click

from ossia.agent import events
from ossia.cli import screen
from ossia.cli.answer.opening import english_only_note
from ossia.cli.answer.prompt_text import decode
from ossia.cli.answer.run import exit_code
from ossia.cli.app import App
from ossia.cli.chat import slash
from ossia.cli.chat.talk import Talk
from ossia.cli.failures import EXIT_NO_ANSWER
from ossia.cli.messages import M


def answer_lines(talk: Talk, app: App) -> int:
    """Answer standard input line by line until it ends; returns the last answer's exit code that is not 0.

    Raises InputError at the first byte that is not UTF-8, after answering the lines before it.
    """
    code, offset, noted = 0, 0, False
    for data in sys.stdin.buffer:
        line = decode(data, app, before=offset).removeprefix("\ufeff").strip()
        offset += len(data)
        if slash.is_command(line):
            reply = slash.obey(line, talk, app)
            if reply.leave:
                break
            if reply.text:
                click.echo(reply.text, err=True)
        elif line:
            if not noted and (note := english_only_note(talk.model, line, app)):
                click.echo(note, err=True)
                noted = True
            code = _answer(talk, line, app) or code
    return code


def _answer(talk: Talk, line: str, app: App) -> int:
    code, last = 0, ""
    for event in talk.ask_now(line):
        if isinstance(event, events.TextDelta):
            last = event.text or last
            screen.write(event.text, sys.stdout)
        elif isinstance(event, events.Finished):
            code = exit_code(event.reason)
    if not last.endswith("\n"):
        screen.write("\n", sys.stdout)
    if not last or code == EXIT_NO_ANSWER:
        click.echo(app.say(M.NO_ANSWER), err=True)
    return code
