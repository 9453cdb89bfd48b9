"""Draw docs/images/harmony-turns.svg: what the model sees at each step of a five-turn conversation.

`python scripts/draw_harmony.py`. Nothing in the picture is asserted by hand: the conversation is rendered for
every step, and what stands in each prompt, what is sampled and how many tokens that is are read off the ids.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from xml.sax.saxutils import escape

from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.harmony.render import render_conversation, render_message
from ossia.tokenizer import load_o200k_harmony

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "harmony-turns.svg"
TOK = load_o200k_harmony()
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = (
    ToolSpec("get_weather", "Current weather.", CITY),
    ToolSpec("find_trains", "Trains to a city.", CITY),
)


def think(text: str) -> Message:
    return Message("assistant", text, channel="analysis")


def say(text: str) -> Message:
    return Message("assistant", text, channel="commentary")


def call(name: str, arguments: str) -> Message:
    kind = "<|constrain|>json"
    return Message("assistant", arguments, channel="commentary", recipient=name, content_type=kind)


def final(text: str) -> Message:
    return Message("assistant", text, channel="final")


WEATHER, TRAINS = "functions.get_weather", "functions.find_trains"
OPENING = (
    Message("system", SystemContent(current_date=date(2026, 3, 14))),
    Message("developer", DeveloperContent("Be brief.", (ToolNamespace("functions", "", TOOLS),))),
)
TURNS = (
    (user("Hi."), think("A greeting."), final("Hello!")),
    (
        user("How warm is it in Oslo?"),
        think("I need the weather."),
        call(WEATHER, '{"city": "Oslo"}'),
        tool_result(WEATHER, '{"celsius": 4}'),
        think("4 °C, then."),
        final("It is 4 °C in Oslo."),
    ),
    (
        user("Is Bergen or Tromsø warmer?"),
        think("Two cities: Bergen first."),
        call(WEATHER, '{"city": "Bergen"}'),
        tool_result(WEATHER, '{"celsius": 9}'),
        think("9 °C. Now Tromsø."),
        call(WEATHER, '{"city": "Tromsø"}'),
        tool_result(WEATHER, '{"celsius": 1}'),
        think("9 against 1."),
        final("Bergen, by 8 degrees."),
    ),
    (user("Thank you."), think("Nothing to look up."), final("You are welcome.")),
    (
        user("When does a train go there?"),
        think("There is Bergen."),
        say("Let me look at the timetable."),
        call(TRAINS, '{"city": "Bergen"}'),
        tool_result(TRAINS, '["08:25", "12:03"]'),
        think("Two trains."),
        final("At 8:25 and at 12:03."),
    ),
)

# Sizes in pixels.
WIDTH, LEFT, TOP, PITCH, ROW, CELL, GAP = 1000, 160, 156, 24, 27, 18, 12

STYLE = """
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 19px; font-weight: 600 } .turn { font-weight: 600; text-anchor: middle }
  .number { text-anchor: end } .soft { fill: #59636e } .strong { font-weight: 600 }
  .mono { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace }
  .page { fill: #ffffff } .line { stroke: #d1d9e0 } .frame { fill: none; stroke: #1f2328; stroke-width: 2 }
  .gone { fill: none; stroke: #8250df; stroke-width: 1.3; stroke-dasharray: 3 2.5 }
  .analysis { fill: #a475f9 } .call { fill: #f0883e } .preamble { fill: #f2cc60 } .final { fill: #3fb950 }
  .tool { fill: #39c5bb } .user { fill: #58a6ff } .setup { fill: #9198a1 }
  .old { opacity: .62 } .accent { fill: #8250df; font-weight: 600 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .soft { fill: #9198a1 } .page { fill: #0d1117 } .line { stroke: #3d444d }
    .frame { stroke: #f0f6fc } .gone { stroke: #ab7df8 } .accent { fill: #ab7df8 }
  }
"""


@dataclass(frozen=True)
class Column:
    """A message of the conversation: which of TURNS it is in (-1 for the opening), and what to call it."""

    message: Message
    turn: int

    @property
    def kind(self) -> str:
        m = self.message
        if m.role in ("system", "developer"):
            return "setup"
        if m.role != "assistant":
            return m.role
        return "call" if m.is_call else "preamble" if m.channel == "commentary" else str(m.channel)

    @property
    def label(self) -> str:
        return {"setup": self.message.role, "tool": "tool result"}.get(self.kind, self.kind)


@dataclass(frozen=True)
class Step:
    """One sampling: the columns in its prompt, those dropped from it, those it samples."""

    turn: int
    number: int
    prompt: list[int]
    sampled: list[int]  # ids
    present: list[int]
    dropped: list[int]
    new: list[int]


COLUMNS = [Column(m, -1) for m in OPENING] + [Column(m, t) for t, turn in enumerate(TURNS) for m in turn]


def steps() -> Iterator[Step]:
    """Every sampling of the conversation, each read off its rendered prompt."""
    start, number, turn = 0, 0, -1
    while start < len(COLUMNS):
        if COLUMNS[start].message.role != "assistant":
            start += 1
            continue
        end = start + 1
        while not _ends_step(COLUMNS[end - 1].message):
            end += 1
        number = number + 1 if COLUMNS[start].turn == turn else 1
        turn = COLUMNS[start].turn
        yield _step(turn, number, start, end)
        start = end


def _ends_step(message: Message) -> bool:
    return message.is_call or message.channel == "final"


def _step(turn: int, number: int, start: int, end: int) -> Step:
    history = Conversation(tuple(column.message for column in COLUMNS[:start]))
    prompt = render_conversation(history, TOK, completion=True)
    present, dropped, at = [], [], 0
    for i, message in enumerate(history.messages):
        ids = render_message(message, TOK, valid_functions=True)
        found = prompt[at : at + len(ids)] == ids
        (present if found else dropped).append(i)
        at += len(ids) if found else 0
    opening = prompt[at:]
    assert TOK.decode(opening) == "<|start|>assistant", "every message of the prompt was found"
    new = [i for column in COLUMNS[start:end] for i in render_message(column.message, TOK)]
    if COLUMNS[end - 1].kind == "final":
        new[-1] = TOK.markers.return_
    return Step(turn, number, prompt, new[len(opening) :], present, dropped, list(range(start, end)))


def draw() -> str:
    """The whole picture as SVG."""
    rows = list(steps())
    y, parts = TOP, []
    for i, step in enumerate(rows):
        if i and step.turn != rows[i - 1].turn:
            y += GAP
        parts += _row(step, y)
        y += ROW
    parts = [*_headings(), *parts, *_legend(), *_edge(rows, y + 34)]
    height = y + 134
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>What the model sees at each step of a five-turn conversation</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="8"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _headings() -> Iterator[str]:
    yield _text(
        20, 32, "Analysis stays while its turn runs. Once the turn has its final, it is dropped.", "title"
    )
    yield _text(20, TOP - 12, "step", "soft")
    yield _text(LEFT - 16, TOP - 28, "prompt", "soft number")
    yield _text(LEFT - 16, TOP - 12, "tokens", "soft number")
    for i, column in enumerate(COLUMNS):
        x, y = _x(i) + 13, TOP - 12
        yield f'<text class="soft" transform="translate({x} {y}) rotate(-90)">{column.label}</text>'
    for t in range(len(TURNS)):
        inside = [i for i, column in enumerate(COLUMNS) if column.turn == t]
        left, right = _x(inside[0]) - 2, _x(inside[-1]) + CELL + 2
        yield f'<path class="line" fill="none" d="M{left} {TOP - 84}v-6H{right}v6"/>'
        yield _text((left + right) // 2, TOP - 95, f"turn {t + 1}", "turn")


def _row(step: Step, y: int) -> Iterator[str]:
    yield _text(20, y + 14, f"turn {step.turn + 1}, step {step.number}")
    yield _text(LEFT - 16, y + 14, str(len(step.prompt)), "number soft")
    for i in step.present:
        yield _cell(i, y, f"{COLUMNS[i].kind} old")
    for i in step.dropped:
        yield _cell(i, y, "gone")
    for i in step.new:
        yield _cell(i, y, COLUMNS[i].kind)
    right = _x(step.new[-1]) + CELL
    yield _frame(_x(step.new[0]), right, y)
    yield _text(right + 10, y + 14, TOK.decode(step.sampled[-1:]), "mono")


def _legend() -> Iterator[str]:
    x, y = 600, TOP + 2
    for style, text in (
        ("user old", "stands in the prompt of this step"),
        ("final", "is sampled in this step, up to the stop token beside it"),
        ("analysis old", "analysis of the turn in progress: still in the prompt"),
        ("gone", "analysis of a finished turn: no longer in the prompt"),
    ):
        yield f'<rect class="{style}" x="{x}" y="{y}" width="{CELL}" height="{CELL}" rx="3"/>'
        if style == "final":
            yield _frame(x, x + CELL, y)
        yield _text(x + 32, y + 14, text)
        y += ROW


def _edge(rows: list[Step], y: int) -> Iterator[str]:
    """The end of turn 1, token for token: as it was sampled, and as turn 2 reads it."""
    first, second = rows[0], next(step for step in rows if step.turn == 1)
    thought, answer = (TOK.decode(render_message(COLUMNS[i].message, TOK)) for i in first.new)
    opening = "<|start|>assistant"
    sampled = TOK.decode(first.sampled)
    assert answer in TOK.decode(second.prompt), "the answer stays"
    assert thought not in TOK.decode(second.prompt), "the thought is dropped"
    assert opening + sampled == thought + answer.replace("<|end|>", "<|return|>")
    yield f'<path class="line" d="M20 {y - 14}H{WIDTH - 20}"/>'
    yield _text(20, y + 12, "The same token for token, where turn 1 ends", "strong")
    x = 112
    middle = x + _mono_width(thought)
    final = answer.removesuffix("<|end|>")
    end = middle + _mono_width(final)
    yield _text(20, y + 42, "sampled")
    yield _mono(x, y + 42, opening, "soft")
    yield _mono(x + _mono_width(opening), y + 42, thought.removeprefix(opening))
    yield _mono(middle, y + 42, final)
    yield _mono(end, y + 42, "<|return|>", "accent")
    yield _text(20, y + 70, "in turn 2")
    yield f'<rect class="gone" x="{x}" y="{y + 55}" width="{middle - x - 4}" height="22" rx="4"/>'
    yield _text((x + middle) // 2, y + 70, "dropped", "turn accent")
    yield _mono(middle, y + 70, final)
    yield _mono(end, y + 70, "<|end|>", "accent")


def _x(column: int) -> int:
    return LEFT + column * PITCH


def _frame(left: int, right: int, y: int) -> str:
    size = f'width="{right - left + 6}" height="{CELL + 6}"'
    return f'<rect class="frame" x="{left - 3}" y="{y - 3}" {size} rx="5"/>'


def _cell(column: int, y: int, style: str) -> str:
    return f'<rect class="{style}" x="{_x(column)}" y="{y}" width="{CELL}" height="{CELL}" rx="3"/>'


def _text(x: int, y: int, text: str, style: str = "") -> str:
    mark = f' class="{style}"' if style else ""
    return f'<text{mark} x="{x}" y="{y}">{escape(text)}</text>'


def _mono_width(text: str) -> int:
    return round(len(text) * 6.62)


def _mono(x: int, y: int, text: str, style: str = "") -> str:
    """Monospaced text of a width that does not depend on the font."""
    fit = f'textLength="{_mono_width(text)}" lengthAdjust="spacingAndGlyphs"'
    return f'<text class="mono {style}" x="{x}" y="{y}" {fit}>{escape(text)}</text>'


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
