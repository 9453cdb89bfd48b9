"""``ossia run``: one prompt in, one answer out, for scripts."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import click

from ossia.agent import events
from ossia.agent.model import Model
from ossia.backends.native import NativeBackend
from ossia.cli import screen
from ossia.cli.answer.aside import Aside, Waiting
from ossia.cli.answer.compare import Answer, compare
from ossia.cli.answer.opening import (
    Wishes,
    answering_options,
    constraining_options,
    english_only_note,
    new_chat,
    open_model,
    wishes,
)
from ossia.cli.answer.prompt_text import checked, read_prompt
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
from ossia.cli.failures import (
    EXIT_INTERRUPTED,
    EXIT_LENGTH,
    EXIT_NO_ANSWER,
    EXIT_REPETITION,
    EXIT_TIME,
    EXIT_TURNS,
)
from ossia.cli.messages import M
from ossia.errors import OssiaError
from ossia.harmony.messages import Effort
from ossia.hub.cache import human

_EXITS = {
    "stop": 0,
    "stop_string": 0,
    "calls": 0,
    "length": EXIT_LENGTH,
    "limit_tokens": EXIT_LENGTH,
    "limit_turns": EXIT_TURNS,
    "limit_time": EXIT_TIME,
    "empty": EXIT_NO_ANSWER,
    "repetition": EXIT_REPETITION,
    "cancelled": EXIT_INTERRUPTED,
}
_CUTS = {
    EXIT_LENGTH: M.CUT_LENGTH,
    EXIT_TURNS: M.CUT_TURNS,
    EXIT_TIME: M.CUT_TIME,
    EXIT_NO_ANSWER: M.NO_ANSWER,
    EXIT_REPETITION: M.CUT_REPETITION,
}


@command("run", help=M.HELP_RUN)
@click.argument("prompt", nargs=-1, metavar="[PROMPT...|-]")
@model_option
@memory_option
@option("--effort", metavar="EFFORT[,…]", help=M.OPT_EFFORTS)
@answering_options
@option("--stop", multiple=True, metavar="TEXT", help=M.OPT_STOP)
@option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help=M.OPT_TIMEOUT)
@constraining_options
@prefix_cache_option
@speculation_option
@screened_head_option
@option("--reasoning", is_flag=True, help=M.OPT_REASONING)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON_EVENTS)
@click.pass_obj
def run_command(app: App, prompt: tuple[str, ...], reasoning: bool, as_json: bool, **options: Any) -> int:
    try:
        wanted = wishes(app, options)
        if wanted.system is not None:
            checked(wanted.system, app)
        text = read_prompt(prompt, app)
        with open_model(app).model as model:
            if note := english_only_note(model, text, app):
                click.echo(note, err=True)
            if as_json:
                return _as_json(model, wanted, text)
            effort, *others = wanted.efforts
            if others:
                return compare(_answers(model, wanted, text, app), app)
            code = _as_text(_ask(model, wanted, effort, text), reasoning, app)
            _tell_streamed(model, app)
            return code
    except OssiaError as error:
        if as_json:
            _print_json({"type": "error", "error": type(error).__name__, "message": error.message})
        raise


def _tell_streamed(model: Model, app: App) -> None:
    """Where experts stream: how many were in memory, and what was read."""
    experts = model.backend.stats.experts if isinstance(model.backend, NativeBackend) else None
    if experts is not None:
        share, size = f"{experts.hit_rate:.0%}", human(experts.read_bytes)
        click.echo(app.say(M.STREAMED, share=share, size=size), err=True)


def exit_code(reason: str) -> int:
    """Return the exit code for the way an answer finished."""
    return _EXITS[reason]


def _ask(model: Model, wanted: Wishes, effort: Effort, text: str) -> Iterator[events.Event]:
    return new_chat(model, wanted, effort).stream(text)


def _as_text(answer: Iterator[events.Event], reasoning: bool, app: App) -> int:
    """The final answer to standard output as it comes; everything else, when wanted, to standard error."""
    code, last = 0, ""
    aside = Aside() if reasoning else Waiting(app)
    for event in answer:
        match event:
            case events.TextDelta(text=text):
                last = text
                aside.clear()
                screen.write(text, sys.stdout)
            case events.Finished(reason=reason):
                code = _EXITS[reason]
            case _:
                aside.show(event)
    aside.clear()
    if last and not last.endswith("\n"):
        screen.write("\n", sys.stdout)
    if code == 0 and not last:
        code = EXIT_NO_ANSWER
    if code in _CUTS:
        click.echo(app.say(_CUTS[code]), err=True)
    return code


def _as_json(model: Model, wanted: Wishes, text: str) -> int:
    """One event per line; with several efforts each line says which one it belongs to."""
    worst = 0
    for effort in wanted.efforts:
        tag = {"effort": effort} if len(wanted.efforts) > 1 else {}
        for event in _ask(model, wanted, effort, text):
            _print_json({**tag, **events.to_json(event)})
            if isinstance(event, events.Finished):
                worst = max(worst, _EXITS[event.reason])
    return worst


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _answers(model: Model, wanted: Wishes, text: str, app: App) -> Iterator[Answer]:
    """Ask once per effort, one after the other so that the seconds can be compared."""
    for effort in wanted.efforts:
        if sys.stderr.isatty():
            click.echo(f"\r{app.say(M.EFFORT_IS, effort=effort)} …", nl=False, err=True)
        parts: list[str] = []
        for event in _ask(model, wanted, effort, text):
            if isinstance(event, events.TextDelta):
                parts.append(event.text)
            elif isinstance(event, events.Finished):
                usage = event.usage
                code = _EXITS[event.reason]
                yield Answer(
                    effort, "".join(parts), usage.reasoning_tokens, usage.seconds, event.reason, code
                )
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", nl=False, err=True)
