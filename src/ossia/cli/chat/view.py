"""How an answer looks while it streams: reasoning dim and foldable, calls as they happen.

Reads agent events only. Everything a model or a tool wrote passes `screen.visible`, and rich never sees it
as markup.
"""

import sys
import time

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from ossia.agent import events
from ossia.cli.app import App
from ossia.cli.chat.markdown import Look, Markdown
from ossia.cli.chat.wrap import Wrapper
from ossia.cli.messages import M
from ossia.cli.screen import short_name, visible

_DIM = "dim"
_REASONING = "dim italic"
_CALL = "cyan"
_BAD = "red"
_NOTICE = "yellow"
_PLAIN = ""
_LOOKS: dict[Look, str] = {"plain": "", "strong": "bold", "code": "cyan"}
_RESULT_LINES = 12


class View:
    """The terminal's picture of one chat; `feed` takes events, `tick` keeps the waiting line moving."""

    def __init__(self, app: App, console: Console | None = None, *, folded: bool = False) -> None:
        self._app = app
        self.console = console or Console(file=sys.stdout, highlight=False, emoji=False, markup=False)
        self.folded = folded
        self.reasoning = ""  # the last one, for /reasoning
        self._hinted = False
        self.begin()

    def begin(self) -> None:
        """Forget the last answer's state; a new one begins."""
        self._wrapper = Wrapper(self.console.width)
        self._section = ""
        self._waiting = ""  # the line that is rewritten in place
        self._started = time.monotonic()
        self._thought_since = 0.0
        self._thought_tokens = 0
        self._thought = ""
        self._printed_thought = 0  # characters of the current reasoning already on the screen
        self._markdown = Markdown()
        self.answered = False  # whether some of the final answer has come

    @property
    def thinking(self) -> bool:
        """Whether the model is in its chain of thought."""
        return self._section == "reasoning"

    def feed(self, event: events.Event) -> None:
        """Show one event."""
        match event:
            case events.ReasoningDelta(text=text):
                self._think(text)
            case events.PreambleDelta(text=text):
                self._stream("preamble", text, _PLAIN)
            case events.TextDelta(text=text):
                self.answered = True
                self._enter("text")
                self._print_marked(self._markdown.feed(visible(text)))
            case events.CallStarted(call_id=call_id, name=name):
                self._stream(f"call {call_id}", f"→ {short_name(name)} ", _CALL)
            case events.CallDelta(call_id=call_id, text=text):
                self._stream(f"call {call_id}", text, _CALL)
            case events.CallReady():
                self._newline()
            case events.ResultReady(text=text, is_error=is_error):
                self._enter("result")
                self._line("← " + _cut(text).replace("\n", "\n  "), _BAD if is_error else _CALL)
            case events.MessageDone():
                self._end_thought()
            case events.Note(code=code, detail=detail) if self._app.debug:
                self.quiet(f"{code}: {detail}")
            case _:
                pass

    def finish(self) -> None:
        """Close the answer: end the open line and the reasoning."""
        self._end_thought()
        self._enter("end")

    def tick(self) -> None:
        """Rewrite the waiting line: how long the model has been reading or thinking."""
        now = time.monotonic()
        if self._section == "":
            self._wait(self._app.say(M.READING, seconds=now - self._started))
        elif self._section == "reasoning" and self.folded:
            seconds = now - self._thought_since
            self._wait(self._app.say(M.THINKING, seconds=seconds, tokens=self._thought_tokens))

    def toggle(self) -> None:
        """Fold or unfold reasoning, now and from now on; what was thought so far in this answer is shown."""
        self.folded = not self.folded
        if self._section != "reasoning":
            return
        if self.folded:
            self._newline()
        else:
            self._show_thought()

    def notice(self, text: str) -> None:
        """Print a message of Ossia's own."""
        self._newline()
        self._line(text, _NOTICE)

    def quiet(self, text: str) -> None:
        """Print a dim line: the status under an answer, the header."""
        self._newline()
        self._line(text, _DIM)

    def space(self) -> None:
        """Print an empty line."""
        self._newline()
        self._print(Text("\n"))

    def show_reasoning(self) -> None:
        """Print the last reasoning in full."""
        if not self.reasoning:
            self.quiet(self._app.say(M.NO_REASONING))
            return
        self.begin()
        self._stream("unfolded", self.reasoning, _REASONING)
        self.finish()

    def _think(self, text: str) -> None:
        if self._section != "reasoning":
            self._enter("reasoning")
            self._thought_since, self._thought_tokens = time.monotonic(), 0
            self._thought, self._printed_thought = "", 0
        self._thought_tokens += 1
        self._thought += text
        if self.folded:
            self.tick()
        else:
            self._show_thought()

    def _show_thought(self) -> None:
        self._print(self._wrapper.feed(visible(self._thought[self._printed_thought :]), _REASONING))
        self._printed_thought = len(self._thought)

    def _end_thought(self) -> None:
        if self._section != "reasoning":
            return
        self.reasoning = self._thought
        seconds = time.monotonic() - self._thought_since
        self._newline()
        if self.folded:
            said = self._app.say(M.THOUGHT, seconds=seconds, tokens=self._thought_tokens)
            hint = "" if self._hinted else f" · {self._app.say(M.UNFOLD_HINT)}"
            self._hinted = True
            self._line(said + hint, _DIM)
        self._section = "thought"

    def _enter(self, section: str) -> None:
        """Leave the section before, with its line ended and a blank line where reading asks for one."""
        if section == self._section:
            return
        self._end_thought()
        self._newline()
        if (self._section, section) in (("thought", "text"), ("result", "text"), ("preamble", "text")):
            self._print(Text("\n"))
        self._section = section

    def _stream(self, section: str, text: str, style: str) -> None:
        self._enter(section)
        self._print(self._wrapper.feed(visible(text), style))

    def _print_marked(self, runs: list[tuple[str, Look]]) -> None:
        for text, look in runs:
            self._print(self._wrapper.feed(text, _LOOKS[look]))

    def _newline(self) -> None:
        self._clear_waiting()
        self._print_marked(self._markdown.flush())
        self._print(self._wrapper.flush())
        if not self._wrapper.at_line_start:
            self._print(self._wrapper.feed("\n"))

    def _line(self, text: str, style: str) -> None:
        lines = Wrapper(self.console.width)
        self._print(lines.feed(visible(text) + "\n", style))

    def _print(self, text: Text) -> None:
        if text:
            self._clear_waiting()
            self.console.print(text, end="", soft_wrap=True)

    def _wait(self, text: str) -> None:
        if not self.console.is_terminal or self.console.is_dumb_terminal:
            return
        self._newline()
        fitting = text if cell_len(text) < self.console.width else set_cell_size(text, self.console.width - 1)
        self.console.file.write("\r\x1b[2K")
        self.console.print(Text(fitting, style=_DIM), end="", soft_wrap=True)
        self.console.file.flush()
        self._waiting = fitting

    def _clear_waiting(self) -> None:
        if self._waiting:
            self._waiting = ""
            self.console.file.write("\r\x1b[2K")
            self.console.file.flush()


def _cut(text: str) -> str:
    lines = text.splitlines() or [""]
    shown = [line if len(line) <= 500 else line[:499] + "…" for line in lines[:_RESULT_LINES]]
    left = len(lines) - len(shown)
    return "\n".join([*shown, f"… (+{left})"] if left else shown)
