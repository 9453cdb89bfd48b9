"""What `ossia run` says on standard error while its answer comes about."""

import sys
import time
from typing import Any

import click

from ossia.agent import events
from ossia.cli import screen
from ossia.cli.app import App
from ossia.cli.messages import M

_TICK_S = 0.1


class Aside:
    """Reasoning, preambles and calls on standard error, each kind on lines of its own."""

    def __init__(self) -> None:
        self._kind: type[events.Event] | None = None

    def show(self, event: events.Event) -> None:
        """Print what `event` adds."""
        match event:
            case events.ReasoningDelta(text=text) | events.PreambleDelta(text=text):
                self._write(type(event), text)
            case events.CallReady(name=name, arguments=arguments):
                self._write(type(event), f"→ {screen.short_name(name)} {arguments}")
            case events.ResultReady(text=text):
                self._write(type(event), f"← {text}")
            case events.MessageDone() | events.Finished():
                self.clear()
            case _:
                pass

    def _write(self, kind: type[Any], text: str) -> None:
        if kind is not self._kind:
            self.clear()
        self._kind = kind
        screen.write(text, sys.stderr)

    def clear(self) -> None:
        """End the open line."""
        if self._kind is not None:
            screen.write("\n", sys.stderr)
        self._kind = None


class Waiting:
    """One line, rewritten in place, that counts the thinking; only where both streams are terminals."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._shown = False
        self._active = sys.stderr.isatty() and sys.stdout.isatty()
        self._started = self._last = time.monotonic()
        self._tokens = 0

    def show(self, event: events.Event) -> None:
        """Count `event`, and rewrite the line a few times a second."""
        self._tokens += isinstance(event, events.ReasoningDelta)
        now = time.monotonic()
        reading = isinstance(event, events.PromptProgress)
        if reading or not self._active or now - self._last < _TICK_S:
            return
        self._last, self._shown = now, True
        said = self._app.say(M.THINKING, seconds=now - self._started, tokens=self._tokens)
        click.echo(f"\r\x1b[2K{said}", nl=False, err=True)

    def clear(self) -> None:
        """Wipe the line."""
        if self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)
        self._shown = False
