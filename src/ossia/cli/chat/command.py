"""``ossia chat``: open a model, then talk in the terminal or line by line."""

import asyncio
import sys
from typing import Any

import click

from ossia.cli.answer.opening import Opened, answering_options, new_chat, open_model, wishes
from ossia.cli.answer.prompt_text import checked
from ossia.cli.app import (
    App,
    command,
    memory_option,
    model_option,
    option,
    prefix_cache_option,
    screened_head_option,
    speculation_option,
)
from ossia.cli.chat.plain import answer_lines
from ossia.cli.chat.talk import Talk
from ossia.cli.chat.terminal import TerminalChat
from ossia.cli.messages import M
from ossia.errors import ModelNotFoundError
from ossia.harmony.messages import EFFORTS
from ossia.hub.names import POCKET


@command("chat", help=M.HELP_CHAT)
@model_option
@memory_option
@option("--effort", type=click.Choice(EFFORTS), help=M.OPT_EFFORT)
@answering_options
@prefix_cache_option
@speculation_option
@screened_head_option
@click.pass_obj
def chat_command(app: App, **options: Any) -> int:
    wanted = wishes(app, options)
    if wanted.system is not None:
        checked(wanted.system, app)
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    opened = _open(app, ask=terminal)
    with opened.model as model:
        talk = Talk(new_chat(model, wanted, wanted.efforts[0]), opened.place)
        return asyncio.run(TerminalChat(talk, app).converse()) if terminal else answer_lines(talk, app)


def _open(app: App, *, ask: bool) -> Opened:
    """Open the model; on a terminal, offer to fetch pocket where it is the one that is missing."""
    try:
        return open_model(app, remembering=True)
    except ModelNotFoundError as error:
        if not ask or error.value != POCKET or not click.confirm(app.say(M.ASK_PULL), default=True):
            raise
    # Through the table, so that a chat does not import what only a pull needs.
    context = click.get_current_context()
    root = context.find_root()
    assert isinstance(root.command, click.Group), "commands are called through the group"
    pull = root.command.get_command(root, "pull")
    assert pull is not None, "the table has a command that pulls"
    context.invoke(pull, name=POCKET, base=None)
    return open_model(app, remembering=True)
