"""Where the user types: history, several lines, completion of slash commands, the status bar."""

from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.styles import Style

_STYLE = Style.from_dict({"bottom-toolbar": "noreverse fg:ansibrightblack", "prompt": "bold"})


class Prompt:
    """One line editor for the whole chat; `ask` returns what was typed.

    `ask` raises KeyboardInterrupt on Ctrl-C and EOFError on Ctrl-D, both in an empty line.
    """

    def __init__(
        self,
        history: History,
        toolbar: Callable[[], str],
        on_toggle: Callable[[], None],
        words: Callable[[], dict[str, tuple[str, ...]]],
        *,
        terminal_in: Input | None = None,
        terminal_out: Output | None = None,
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            message=[("class:prompt", "› ")],
            history=history,
            multiline=True,
            prompt_continuation="  ",
            bottom_toolbar=toolbar,
            key_bindings=_bindings(on_toggle),
            completer=_SlashCompleter(words),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            style=_STYLE,
            input=terminal_in,
            output=terminal_out,
        )

    async def ask(self, typed: str = "") -> str:
        """Let the user edit a line that begins as `typed`; return it on Enter, "" where Ctrl-C cleared it."""
        try:
            return await self._session.prompt_async(default=typed, handle_sigint=False)
        except KeyboardInterrupt:
            if self._session.default_buffer.text:
                return ""
            raise


def _bindings(on_toggle: Callable[[], None]) -> KeyBindings:
    keys = KeyBindings()

    def send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    def new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    def toggle(event: KeyPressEvent) -> None:
        on_toggle()
        event.app.invalidate()

    keys.add("enter")(send)
    keys.add("escape", "enter")(new_line)
    keys.add("c-t")(toggle)
    return keys


class _SlashCompleter(Completer):
    """Completes the name of a slash command, then its argument."""

    def __init__(self, words: Callable[[], dict[str, tuple[str, ...]]]) -> None:
        self._words = words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        head, gap, rest = text.partition(" ")
        words = self._words()
        last = rest.rpartition(" ")[2] if gap else head
        for word in words.get(head, ()) if gap else words:
            if word.startswith(last):
                yield Completion(word, start_position=-len(last))
