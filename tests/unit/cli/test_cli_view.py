"""How an answer looks: sections, folding, waiting lines, and that nothing in it is obeyed."""

import io
import re

import pytest
from rich.console import Console

from ossia.agent.events import (
    CallDelta,
    CallReady,
    CallStarted,
    Event,
    MessageDone,
    PreambleDelta,
    ReasoningDelta,
    ResultReady,
    TextDelta,
)
from ossia.cli.app import App
from ossia.cli.chat.view import View
from ossia.harmony.messages import Message

DONE = MessageDone(Message("assistant", "x", channel="analysis"))
ANSWER: list[Event] = [
    ReasoningDelta("I should "),
    ReasoningDelta("calculate."),
    DONE,
    CallStarted("call_1", "functions.calculator"),
    CallDelta("call_1", '{"expression": '),
    CallDelta("call_1", '"1 + 1"}'),
    DONE,
    CallReady("call_1", "functions.calculator", '{"expression": "1 + 1"}'),
    ResultReady("call_1", "functions.calculator", "2", False),
    DONE,
    ReasoningDelta("So two."),
    DONE,
    TextDelta("It is "),
    TextDelta("[bold]2[/bold]."),
    DONE,
]


def view_of(app: App, *, terminal: bool = False, folded: bool = False) -> View:
    console = Console(
        file=io.StringIO(), force_terminal=terminal, width=60, highlight=False, markup=False, emoji=False
    )
    return View(app, console, folded=folded)


def shown(view: View) -> str:
    assert isinstance(view.console.file, io.StringIO)
    return view.console.file.getvalue()


def play(view: View, events: list[Event]) -> str:
    view.begin()
    for event in events:
        view.feed(event)
    view.finish()
    return shown(view)


def test_an_answer_in_full(app: App) -> None:
    assert play(view_of(app), ANSWER) == (
        'I should calculate.\n→ calculator {"expression": "1 + 1"}\n← 2\nSo two.\n\nIt is [bold]2[/bold].\n'
    )


def test_folded_reasoning_is_counted_not_shown(app: App) -> None:
    view = view_of(app, folded=True)
    text = play(view, ANSWER)
    assert "I should" not in text
    assert re.findall(r"thought for \d+\.\d s, (\d) tokens", text) == ["2", "1"]
    assert text.count("/reasoning shows it") == 1
    view.show_reasoning()
    assert shown(view).endswith("So two.\n")


def test_unfolding_in_mid_thought_shows_all_of_it(app: App) -> None:
    view = view_of(app, folded=True)
    view.begin()
    view.feed(ReasoningDelta("first "))
    view.toggle()
    view.feed(ReasoningDelta("second "))
    view.toggle()
    view.feed(ReasoningDelta("third"))
    view.feed(DONE)
    view.feed(TextDelta("Done."))
    view.finish()
    assert re.sub(r"\d+\.\d s", "T", shown(view)) == (
        "first second\nthought for T, 3 tokens · /reasoning shows it\n\nDone.\n"
    )
    assert view.reasoning == "first second third"


def test_without_reasoning_there_is_nothing_to_show(app: App) -> None:
    view = view_of(app)
    view.show_reasoning()
    assert shown(view) == "there is no reasoning yet\n"


def test_preamble_and_answer_are_apart(app: App) -> None:
    events: list[Event] = [PreambleDelta("Let me look."), DONE, TextDelta("Found.")]
    assert play(view_of(app), events) == "Let me look.\n\nFound.\n"


def test_a_long_result_is_cut(app: App) -> None:
    text = play(view_of(app), [ResultReady("c", "functions.x", "\n".join(map(str, range(100))), False)])
    assert text.splitlines()[0] == "← 0"
    assert text.splitlines()[-1] == "  … (+88)"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta, PreambleDelta])
def test_no_text_can_steer_the_terminal(kind: type[TextDelta], terminal: bool, app: App) -> None:
    evil = "\x1b]0;owned\x07 \x9b2J\x08 \r\u202e [red]x[/red] :bomb:"
    text = play(view_of(app, terminal=terminal), [kind(evil)])
    text = re.sub(r"\x1b\[[0-9;]*m|\r?\x1b\[2K", "", text)  # what the view itself may write
    assert not set(text) & set("\x1b\x07\x9b\x08\r\u202e")
    assert "[red]x[/red] :bomb:" in text


def test_arguments_and_results_cannot_either(app: App) -> None:
    events: list[Event] = [
        CallStarted("c", "functions.\x1b[2J"),
        CallDelta("c", "\x1b[2J"),
        CallReady("c", "x", ""),
        ResultReady("c", "x", "\x1b[2J\x9b", True),
    ]
    assert not set(play(view_of(app), events)) & set("\x1b\x9b")


def test_the_waiting_line_is_rewritten_in_place_and_wiped(app: App) -> None:
    view = view_of(app, terminal=True)
    view.begin()
    view.tick()
    view.tick()
    assert shown(view).count("reading …") == 2
    assert "\n" not in shown(view)
    view.feed(TextDelta("Hi"))
    view.feed(TextDelta(" "))
    assert shown(view).endswith("\r\x1b[2KHi")
    before = len(shown(view))
    view.tick()  # an answer is on the line: nothing may be wiped
    assert len(shown(view)) == before


def test_no_waiting_line_without_a_terminal(app: App) -> None:
    view = view_of(app)
    view.begin()
    view.tick()
    assert shown(view) == ""
