"""Ossia's Harmony room beside openai-harmony 0.0.8, in one run; needs the extra `oracle`.

Both do the same work in turns, round by round, and must agree on the result before anything is timed. Rates
and delays are processor time, so that a busy machine disturbs less: the median of the rounds with their 10th
and 90th percentile, and the median of the rounds' ratios. Of reading a property it is the least time. What a
grammar's mask costs is for `bench/grammar.py` to say.
"""

import argparse
import json
import random
import runpy
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import openai_harmony as reference
from rich.console import Console
from rich.table import Table

from ossia.harmony import compat
from ossia.harmony.incremental import Rendering
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
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import render_conversation
from ossia.tokenizer import load_o200k_harmony

ROOT = Path(__file__).parents[1]
GOLDEN = runpy.run_path(str(ROOT / "tests" / "golden" / "make_words.py"))
TOK = load_o200k_harmony()
THEIRS: reference.HarmonyEncoding = GOLDEN["load_reference"]()
COMPAT = compat.load_harmony_encoding(compat.HarmonyEncodingName.HARMONY_GPT_OSS)
LENGTHS = (1_000, 10_000, 100_000)  # tokens at which properties are read
KEPT = ", kept"  # the reading before is still held when the next is made, as by a program that shows it
PROPERTIES = (
    "messages",
    "current_content",
    f"current_content{KEPT}",
    "last_content_delta",
    "tokens",
    "current_channel",
    "state",
)

Work = Callable[[], object]
Side = Callable[[], Work]  # makes everything ready, and returns what is timed

WEATHER = ToolSpec(
    "get_weather",
    "Current weather in a city.",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city."},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "integer"},
        },
        "required": ["city"],
    },
)
OPENING = (
    Message("system", SystemContent()),
    Message("developer", DeveloperContent("Be brief.", (ToolNamespace("functions", "", (WEATHER,)),))),
)


@dataclass(frozen=True)
class Contest:
    """One piece of work, done by both. `tokens`: how many it handles where a rate is asked for."""

    name: str
    ours: Side
    theirs: Side
    tokens: int | None = None


@dataclass(frozen=True)
class Row:
    """The figures of one contest, one per round: million tokens a second, or milliseconds."""

    name: str
    unit: str
    ours: list[float]
    theirs: list[float]

    @property
    def ratios(self) -> list[float]:
        """How many times better ours is, round by round."""
        less = self.unit == "ms"
        return [b / a if less else a / b for a, b in zip(self.ours, self.theirs, strict=True)]


class Passages:
    """Passages of this project's own English, Korean and code, cut by a seed."""

    def __init__(self, seed: int) -> None:
        files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "src" / "ossia").rglob("*.py")]
        self._texts = [text for f in sorted(files) if len(text := f.read_text("utf-8")) > 4000]
        self._rng = random.Random(seed)

    def take(self, tokens: int) -> str:
        """Exactly `tokens` tokens of text, or a few less where a cut joins two."""
        text = self._rng.choice(self._texts)
        while len(ids := TOK.encode(text)) < 2 * tokens:
            text += self._rng.choice(self._texts)
        start = self._rng.randrange(len(ids) - tokens)
        return TOK.decode(ids[start : start + tokens])


def turn(passages: Passages, tokens: int) -> Iterator[Message]:
    """A turn of about `tokens` tokens: question, reasoning, call, result, reasoning, answer."""
    arguments = json.dumps({"city": passages.take(4), "unit": "celsius", "days": 3})
    fifth = tokens // 5
    yield user(passages.take(fifth))
    yield Message("assistant", passages.take(fifth), channel="analysis")
    yield Message(
        "assistant",
        arguments,
        channel="commentary",
        recipient="functions.get_weather",
        content_type="<|constrain|>json",
    )
    yield tool_result("functions.get_weather", passages.take(fifth))
    yield Message("assistant", passages.take(fifth), channel="analysis")
    yield Message("assistant", passages.take(fifth), channel="final")


def conversation(passages: Passages, turns: int, tokens: int) -> Conversation:
    return Conversation((*OPENING, *(m for _ in range(turns) for m in turn(passages, tokens))))


def measure(contest: Contest, rounds: int) -> Row:
    """Let the two take turns; the first round only warms up."""
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        for side, seconds in ((contest.ours, ours), (contest.theirs, theirs)):
            work = side()
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
        if number == 0:
            ours.clear()
            theirs.clear()
    unit = "ms" if contest.tokens is None else "Mtok/s"
    return Row(contest.name, unit, *([_figure(contest, s) for s in column] for column in (ours, theirs)))


def _figure(contest: Contest, seconds: float) -> float:
    return seconds * 1e3 if contest.tokens is None else contest.tokens / seconds / 1e6


def vocabulary_contests(texts: list[str]) -> list[Contest]:
    ids = [TOK.encode(text) for text in texts]
    assert ids == [THEIRS.encode(text, disallowed_special=()) for text in texts], "the two encode alike"
    assert [TOK.decode(i) for i in ids] == [THEIRS.decode(i) for i in ids], "the two decode alike"
    count = sum(map(len, ids))
    return [
        Contest(
            "encode",
            lambda: lambda: [TOK.encode(text) for text in texts],
            lambda: lambda: [THEIRS.encode(text, disallowed_special=()) for text in texts],
            count,
        ),
        Contest(
            "decode",
            lambda: lambda: [TOK.decode(i) for i in ids],
            lambda: lambda: [THEIRS.decode(i) for i in ids],
            count,
        ),
    ]


def format_contests(conversations: list[Conversation]) -> list[Contest]:
    """Whole conversations rendered and read; nothing is dropped, as the two differ in what they drop."""
    same = [GOLDEN["to_reference"](c) for c in conversations]
    keep = reference.RenderConversationConfig(auto_drop_analysis=False)
    ids = [render_conversation(c, TOK, drop_analysis=False) for c in conversations]
    assert ids == [THEIRS.render_conversation(c, keep) for c in same], "the two render alike"
    read = THEIRS.parse_messages_from_completion_tokens
    for i in ids:
        texts = [m.content[0].text for m in read(i)]  # type: ignore[union-attr]
        assert [m.text for m in parse(i, TOK)[0]] == texts, "the two read alike"
    count = sum(map(len, ids))
    return [
        Contest(
            "render",
            lambda: lambda: [render_conversation(c, TOK, drop_analysis=False) for c in conversations],
            lambda: lambda: [THEIRS.render_conversation(c, keep) for c in same],
            count,
        ),
        Contest(
            "parse, all at once",
            lambda: lambda: [parse(i, TOK) for i in ids],
            lambda: lambda: [read(i) for i in ids],
            count,
        ),
        Contest(
            "parse, token by token",
            lambda: lambda: [_feed(i) for i in ids],
            lambda: lambda: [_process(reference.StreamableParser(THEIRS, None), i) for i in ids],
            count,
        ),
        Contest(
            "the same through compat",
            lambda: lambda: [_process(compat.StreamableParser(COMPAT, None), i) for i in ids],
            lambda: lambda: [_process(reference.StreamableParser(THEIRS, None), i) for i in ids],
            count,
        ),
    ]


def _feed(ids: list[int]) -> None:
    parser = StreamParser(TOK, role=None)
    for i in ids:
        parser.feed(i)  # gives the new text as an event
    parser.finish()


def _process(parser: Any, ids: list[int]) -> None:
    for i in ids:
        parser.process(i)
        _ = parser.last_content_delta
    parser.process_eos()


def next_turn_contests(passages: Passages, length: int) -> list[Contest]:
    """The prompt of the next step, when about `length` tokens stand already and 1,000 are new."""
    long = conversation(passages, length // 1000, 1000)
    question = long.append(user(passages.take(1000)))
    reasoning, call = list(turn(passages, 5000))[1:3]
    sampled = parse(render_conversation(Conversation((reasoning, call)), TOK), TOK)[0]
    called = question.append(*sampled)
    result = called.append(tool_result("functions.get_weather", passages.take(1000)))
    return [
        _next_turn(f"1k of question after {length // 1000}k", long, question),
        _next_turn(f"1k of sampled call after {length // 1000}k", question, called),
        _next_turn(f"1k of tool result after {length // 1000}k", called, result),
    ]


def _next_turn(name: str, before: Conversation, after: Conversation) -> Contest:
    converted = GOLDEN["to_reference"](after)

    def ours() -> Work:
        rendering = Rendering(TOK)
        rendering.update(before, completion=True)
        return lambda: rendering.update(after, completion=True)

    def theirs() -> Work:
        return lambda: THEIRS.render_conversation_for_completion(converted, reference.Role.ASSISTANT)

    rendering = Rendering(TOK)
    rendering.update(before, completion=True)
    made = list(rendering.update(after, completion=True).ids)
    assert made == render_conversation(after, TOK, completion=True), "what grew equals what is made at once"
    return Contest(name, ours, theirs)


def reading_delays(passages: Passages) -> dict[str, dict[str, list[float]]]:
    """Microseconds to read each property after the next token, at each of LENGTHS.

    Half of the tokens stand in finished messages of 250, the other half in the message under way.
    """
    ids = TOK.encode(passages.take(max(LENGTHS)))
    marks = TOK.markers
    header = [marks.start, *TOK.encode("assistant"), marks.channel, *TOK.encode("analysis"), marks.message]
    delays: dict[str, dict[str, list[float]]] = {}
    for length in LENGTHS:
        finished = [i for at in range(0, length // 2, 250) for i in (*header, *ids[at : at + 250], marks.end)]
        opened = [*finished, *header, *ids[: length // 2]]
        parsers: dict[str, Any] = {
            "openai-harmony": reference.StreamableParser(THEIRS, None),
            "ossia.harmony.compat": compat.StreamableParser(COMPAT, None),
        }
        for name, parser in parsers.items():
            for i in opened:
                parser.process(i)
            for prop, delay in _read(parser, parser.process, PROPERTIES, ids).items():
                delays.setdefault(name, {}).setdefault(prop, []).append(delay)
        own = StreamParser(TOK, role=None)
        for i in opened:
            own.feed(i)
        for prop, delay in _read(own, own.feed, ("messages", "spans"), ids).items():
            delays.setdefault("ossia's StreamParser", {}).setdefault(prop, []).append(delay)
    return delays


def _read(
    parser: object, feed: Callable[[int], object], names: tuple[str, ...], ids: list[int]
) -> dict[str, float]:
    delays: dict[str, float] = {}
    for name in names:
        times: list[int] = []
        kept: object = None
        for i in ids[:25]:
            feed(i)
            start = time.perf_counter_ns()
            value = getattr(parser, name.removesuffix(KEPT))
            times.append(time.perf_counter_ns() - start)
            kept, value = value if name.endswith(KEPT) else None, None
        del kept
        delays[name] = min(times) / 1e3  # every reading is the same work: the least is undisturbed
    return delays


def show(rows: list[Row], delays: dict[str, dict[str, list[float]]]) -> None:
    console = Console(width=116)
    table = Table("", "", "Ossia", "openai-harmony", "ratio", title="processor time; median (10th–90th)")
    for row in rows:
        table.add_row(row.name, row.unit, *map(_spread, (row.ours, row.theirs, row.ratios)))
    console.print(table)
    lengths = [f"at {length // 1000}k" for length in LENGTHS]
    table = Table(
        "µs to read",
        "",
        *lengths,
        "growth",
        title="properties, after each new token; the least of 25 readings",
    )
    for parser, properties in delays.items():
        for prop, values in properties.items():
            table.add_row(parser, prop, *(f"{v:,.1f}" for v in values), f"{values[-1] / values[0]:.1f}")
    console.print(table)


def _spread(values: list[float]) -> str:
    deciles = statistics.quantiles(values, n=10, method="inclusive")
    return f"{statistics.median(values):.2f} ({deciles[0]:.2f}–{deciles[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--turns", type=int, default=40, help="turns of 1,000 tokens, in conversations of 5")
    parser.add_argument("--length", type=int, default=100_000, help="tokens that stand before the next turn")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="every round's figures instead of the tables")
    options = parser.parse_args()
    passages = Passages(options.seed)
    texts = [passages.take(500) for _ in range(2 * options.turns)]
    conversations = [conversation(passages, 5, 1000) for _ in range(options.turns // 5)]
    contests = [
        *vocabulary_contests(texts),
        *format_contests(conversations),
        *next_turn_contests(passages, options.length),
    ]
    rows = [measure(contest, options.rounds) for contest in contests]
    delays = reading_delays(passages)
    if options.json:
        json.dump({"rows": [asdict(row) for row in rows], "reading_us": delays}, sys.stdout)
    else:
        show(rows, delays)


if __name__ == "__main__":
    main()
