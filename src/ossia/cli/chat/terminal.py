"""The chat in a terminal: ask, stream the answer, obey Ctrl-C, repeat.

Ctrl-C while the model reasons asks it to answer now; a second one, or one at any other time, stops it.
"""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Generator

from prompt_toolkit.input import Input
from prompt_toolkit.output import Output
from rich.cells import cell_len

from ossia import __version__
from ossia.agent import events
from ossia.cli.answer.opening import english_only_note
from ossia.cli.app import App
from ossia.cli.chat import slash
from ossia.cli.chat.history import open_history
from ossia.cli.chat.keys import TypeAhead, key_by_key, listening
from ossia.cli.chat.prompt import Prompt
from ossia.cli.chat.talk import Talk
from ossia.cli.chat.view import View
from ossia.cli.failures import describe
from ossia.cli.messages import M
from ossia.cli.screen import visible
from ossia.errors import OssiaError

_TICK_S = 0.1
_CUTS = {
    "length": M.CUT_LENGTH,
    "limit_tokens": M.CUT_LENGTH,
    "limit_turns": M.CUT_TURNS,
    "limit_time": M.CUT_TIME,
    "repetition": M.CUT_REPETITION,
    "empty": M.NO_ANSWER,
}


class TerminalChat:
    """One chat on one terminal; `converse` returns the exit code when the user leaves."""

    def __init__(self, talk: Talk, app: App, view: View | None = None) -> None:
        self._talk = talk
        self._app = app
        self._view = view or View(app)
        self._typed = TypeAhead(self._view.toggle)
        self._work: asyncio.Future[None] | None = None  # the answer under way
        self._hurried = False  # whether the answer under way was asked to come now
        self._noted = False  # whether the note about languages was given

    async def converse(self, terminal_in: Input | None = None, terminal_out: Output | None = None) -> int:
        """Talk until Ctrl-D, /quit or a second Ctrl-C at the prompt."""
        prompt = Prompt(
            open_history(self._app.settings),
            self._toolbar,
            self._view.toggle,
            lambda: slash.words(self._talk),
            terminal_in=terminal_in,
            terminal_out=terminal_out,
        )
        self._header()
        with key_by_key(sys.stdin), self._obeying_ctrl_c():
            await self._talk_until_left(prompt)
        return 0

    async def _talk_until_left(self, prompt: Prompt) -> None:
        while (text := await self._next(prompt)) is not None:
            if slash.is_command(text):
                if self._obey(text):
                    break
            elif text.strip():
                await self._answer(text)
            if text.strip():
                self._view.space()

    @contextlib.contextmanager
    def _obeying_ctrl_c(self) -> Generator[None]:
        """Let Ctrl-C hurry or stop the answer under way, and nothing else; the prompt reads it as a key."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, self._stop)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    def _stop(self) -> None:
        if self._work is None:
            return
        if self._view.thinking and not self._hurried:
            self._hurried = True
            self._talk.answer_now()
            self._view.quiet(self._app.say(M.ANSWERING_NOW))
        else:
            self._work.cancel()

    async def _next(self, prompt: Prompt) -> str | None:
        """Return what the user typed; None when they leave."""
        warned = False
        while True:
            try:
                return await prompt.ask(self._typed.take())
            except KeyboardInterrupt:
                if warned:
                    return None
                warned = True
                self._view.quiet(self._app.say(M.LEAVE_HINT))
            except EOFError:
                return None

    def _obey(self, line: str) -> bool:
        """Run a slash command; returns whether to leave."""
        try:
            reply = slash.obey(line, self._talk, self._app)
        except OssiaError as error:
            self._view.notice(describe(error, self._app))
            return False
        if reply.fold:
            self._view.toggle()
            self._view.quiet(self._app.say(M.REASONING_IS, shown=self._shown()))
        if reply.unfold:
            self._view.show_reasoning()
        if reply.text:
            self._view.quiet(reply.text)
        self._typed.put(reply.typed)
        return reply.leave

    async def _answer(self, text: str) -> None:
        """Stream one answer; Ctrl-C hurries or ends it and nothing else."""
        self._note_language(text)
        self._hurried = False
        self._view.begin()
        work = asyncio.ensure_future(self._consume(text))
        ticking = asyncio.ensure_future(self._tick())
        self._work = work
        with listening(sys.stdin, self._typed):
            try:
                await work
            except asyncio.CancelledError:
                self._view.finish()
                self._view.notice(self._app.say(M.STOPPED))
            except OssiaError as error:
                self._view.finish()
                self._view.notice(describe(error, self._app))
            finally:
                self._work = None
                ticking.cancel()

    async def _consume(self, text: str) -> None:
        async with contextlib.aclosing(self._talk.ask(text)) as answer:
            async for event in answer:
                self._view.feed(event)
                if isinstance(event, events.Finished):
                    self._finish(event)

    def _finish(self, event: events.Finished) -> None:
        self._view.finish()
        if event.reason in _CUTS:
            self._view.notice(self._app.say(_CUTS[event.reason]))
        elif not self._view.answered:
            self._view.notice(self._app.say(M.NO_ANSWER))
        self._view.quiet(self._status(event.usage))

    async def _tick(self) -> None:
        while True:
            self._view.tick()
            await asyncio.sleep(_TICK_S)

    def _note_language(self, text: str) -> None:
        if not self._noted and (note := english_only_note(self._talk.model, text, self._app)):
            self._noted = True
            self._view.notice(note)

    def _header(self) -> None:
        place = f" · {self._talk.place}" if self._talk.place else ""
        name, numerics = self._talk.model.card.name, self._app.settings.numerics
        self._view.quiet(f"ossia {__version__} · {name} · {numerics}{place}")
        self._view.quiet(self._app.say(M.HEADER_HINT))
        self._view.space()

    def _status(self, usage: events.Usage) -> str:
        used, limit, percent = self._talk.context()
        return self._app.say(
            M.STATUS,
            tokens=usage.output_tokens,
            rate=rate(usage),
            first=usage.first_token_s or 0.0,
            used=used,
            limit=limit,
            percent=percent,
        )

    def _toolbar(self) -> str:
        """The status line: as many of its parts as fit, the most wanted first."""
        say, talk = self._app.say, self._talk
        used, limit, percent = talk.context()
        tools = ", ".join(talk.tools) or say(M.NONE)
        parts = [
            talk.model.card.name,
            talk.effort,
            *([say(M.RATE, rate=rate(talk.usage))] if talk.usage else []),
            say(M.BAR_CONTEXT, used=used, limit=limit, percent=percent),
            say(M.BAR_TOOLS, tools=tools),
            say(M.BAR_REASONING, shown=self._shown()),
        ]
        line = ""
        for part in parts:
            longer = f"{line} · {part}" if line else f" {part}"
            if cell_len(longer) >= self._view.console.width:
                break
            line = longer
        return visible(line)

    def _shown(self) -> str:
        return self._app.say(M.FOLDED if self._view.folded else M.SHOWN)


def rate(usage: events.Usage) -> float:
    """Tokens per second after the first one: reading the prompt is another speed."""
    seconds = usage.seconds - (usage.first_token_s or 0.0)
    return (usage.output_tokens - 1) / seconds if seconds > 0 and usage.output_tokens > 1 else 0.0
