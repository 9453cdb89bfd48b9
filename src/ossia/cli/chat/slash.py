"""Slash commands: what can be typed in a chat besides questions."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ossia.cli.answer.opening import parse_effort
from ossia.cli.app import App
from ossia.cli.chat import saved
from ossia.cli.chat.talk import Talk
from ossia.cli.messages import M
from ossia.errors import InputError
from ossia.harmony.messages import EFFORTS

_COMMAND = re.compile(r"/[a-z]+(?=\s|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command answers with; `leave` ends the chat, `fold` and `unfold` are the view's business.

    `typed` is put into the next prompt.
    """

    text: str = ""
    leave: bool = False
    fold: bool = False
    unfold: bool = False
    typed: str = ""


def is_command(line: str) -> bool:
    """Whether `line` is a command: ``/word`` alone or before a blank, so that ``/etc/passwd`` is not one."""
    return _COMMAND.match(line.strip()) is not None


def obey(line: str, talk: Talk, app: App) -> Reply:
    """Do what `line` says and return what to show; raises OssiaError for what cannot be done."""
    name, _, rest = line.strip().partition(" ")
    handler = _HANDLERS.get(name.lower())
    if handler is None:
        return Reply(app.say(M.UNKNOWN_SLASH, name=name))
    return handler(rest.strip(), talk, app)


def words(talk: Talk) -> dict[str, tuple[str, ...]]:
    """Return every command with the words its argument can be completed to."""
    switch = ("on", "off")
    more = {"/effort": EFFORTS, "/tools": (*switch, *talk.toolbox), "/grammar": switch}
    return {**dict.fromkeys(_HANDLERS, ()), **more}


def _effort(rest: str, talk: Talk, app: App) -> Reply:
    if rest:
        talk.chat.effort = parse_effort(rest, app)
    return Reply(app.say(M.EFFORT_IS, effort=talk.effort))


def _system(rest: str, talk: Talk, app: App) -> Reply:
    if rest:
        talk.chat.system = None if rest == "-" else rest
    return Reply(app.say(M.SYSTEM_IS, text=talk.chat.system or app.say(M.NONE)))


def _tools(rest: str, talk: Talk, app: App) -> Reply:
    match rest.split():
        case []:
            pass
        case [("on" | "off") as switch, name]:
            if name not in talk.toolbox:
                names = ", ".join(talk.toolbox)
                return Reply(app.say(M.NO_SUCH_TOOL, name=name, names=names))
            others = tuple(tool for tool in talk.tools if tool != name)
            talk.switch_tools((*others, name) if switch == "on" else others)
        case _:
            return Reply(app.say(M.TOOLS_USAGE))
    states = ((name, M.TOOL_ON if name in talk.tools else M.TOOL_OFF) for name in talk.toolbox)
    return Reply("\n".join(f"{name}: {app.say(state)}" for name, state in states))


def _grammar(rest: str, talk: Talk, app: App) -> Reply:
    if rest not in ("", "on", "off"):
        return Reply(app.say(M.GRAMMAR_USAGE))
    if rest:
        talk.chat.grammar = rest == "on"
    return Reply(app.say(M.GRAMMAR_IS, state=app.say(M.TOOL_ON if talk.chat.grammar else M.TOOL_OFF)))


def _undo(rest: str, talk: Talk, app: App) -> Reply:
    question = talk.undo()
    return Reply(app.say(M.NOTHING_TO_UNDO)) if question is None else Reply(app.say(M.UNDONE), typed=question)


def _reset(rest: str, talk: Talk, app: App) -> Reply:
    talk.reset()
    return Reply(app.say(M.RESET_DONE))


def _save(rest: str, talk: Talk, app: App) -> Reply:
    path = _path("/save", rest, app)
    saved.save(path, talk.saved(), app)
    return Reply(app.say(M.SAVED, path=path))


def _load(rest: str, talk: Talk, app: App) -> Reply:
    path = _path("/load", rest, app)
    talk.restore(saved.load(path, app, talk.model.tok))
    return Reply(app.say(M.LOADED, path=path, count=len(talk.chat.history)))


def _path(name: str, rest: str, app: App) -> Path:
    try:
        parts = shlex.split(rest)
    except ValueError:
        parts = [rest]
    if not parts:
        raise InputError(app.say(M.FILE_NEEDED, name=name))
    return Path(" ".join(parts)).expanduser().absolute()


def _help(rest: str, talk: Talk, app: App) -> Reply:
    return Reply(app.say(M.SLASH_HELP))


_HANDLERS: dict[str, Callable[[str, Talk, App], Reply]] = {
    "/effort": _effort,
    "/system": _system,
    "/tools": _tools,
    "/grammar": _grammar,
    "/fold": lambda rest, talk, app: Reply(fold=True),
    "/reasoning": lambda rest, talk, app: Reply(unfold=True),
    "/undo": _undo,
    "/reset": _reset,
    "/save": _save,
    "/load": _load,
    "/help": _help,
    "/quit": lambda rest, talk, app: Reply(leave=True),
    "/exit": lambda rest, talk, app: Reply(leave=True),
}
