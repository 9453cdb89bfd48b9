"""The grammar on this machine: what a mask costs, what building takes, and what a real model makes of it.

    python bench/grammar.py masks                     a mask's cost on the 201,088 vocabulary, in µs
    python bench/grammar.py first                     what the grammar adds to pocket's first token
    python bench/grammar.py turns --out FILE          500 tool turns of pocket with the grammar, 500 without

`turns` appends one JSON line per turn to FILE and goes on where it stopped.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from grammar_turns import WEATHER, run_turns
from ossia.harmony.grammar import FrameMask, FrameRules, GrammarCompiler, JsonSchema
from ossia.harmony.messages import ToolNamespace, ToolSpec
from ossia.tokenizer.base import Tokenizer
from ossia.tokenizer.o200k import load_o200k_harmony

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "customer": {"type": "string", "pattern": "^[A-Z]{2}-\\d{4,6}$"},
        "when": {"type": "string", "format": "date-time"},
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "sku": {"type": "string", "minLength": 3, "maxLength": 24},
                    "count": {"type": "integer", "minimum": 1},
                    "price": {"type": "number", "multipleOf": 0.01},
                    "note": {"type": ["string", "null"]},
                },
                "required": ["sku", "count"],
            },
            "minItems": 1,
            "maxItems": 20,
        },
        "extra": {"type": "object"},
    },
    "required": ["customer", "items"],
}
TOOLS = ToolNamespace(
    "functions",
    tools=(ToolSpec("get_weather", parameters=WEATHER), ToolSpec("place_order", parameters=ORDER)),
)
RULES = FrameRules((TOOLS, ToolNamespace("python", "Runs code.")))
ANSWER = FrameRules(response_format=JsonSchema(ORDER))

REASONING = """We need the weather in Seoul (서울) for 3 days; the user wrote "지금 날씨 어때?". So: call
get_weather with {"location": "Seoul, South Korea"}.\n\n    for i in range(10):\n        print(f"{i:>4}")\n
Also 天気 in Tokyo, الطقس في القاهرة, погода в Москве, 🌦️👩🏽‍🚀. 3.14159 + 1234567 = 1234570.14159 ✓"""
WEATHER_CALL = '{"location": "Seoul, South Korea", "unit": "celsius", "days": 3}'
ORDER_CALL = json.dumps(
    {
        "customer": "KR-20391",
        "when": "2026-03-01T09:30:00+09:00",
        "items": [
            {"sku": "teapot-01", "count": 2, "price": 31.95, "note": 'He said "soon"\n\t– 빨리 🫖'},
            {"sku": "cup/blue/small", "count": 12, "note": None},
        ],
        "extra": {"gift": True, "tags": ["a", 1, {"b": [1.5e3, -2]}], "messages": "<|end|> is only text"},
    },
    ensure_ascii=False,
)
CODE = (
    'import math\n\ndef area(r: float) -> float:\n    """πr²"""\n    return math.pi * r**2\n\nprint(area(2))'
)


def traces(tok: Tokenizer) -> Iterator[tuple[str, FrameRules, list[int]]]:
    """Turns as the model writes them: name, rules, ids after ``<|start|>assistant``."""
    marks, text = tok.markers, tok.encode
    start = [marks.end, marks.start, *text("assistant")]
    analysis = [marks.channel, *text("analysis"), marks.message, *text(REASONING), *start]
    preamble = [marks.channel, *text("commentary"), marks.message, *text("I will look it up."), *start]
    json_type = [*text(" "), marks.constrain, *text("json"), marks.message]

    def call(name: str, body: str) -> list[int]:
        header = [marks.channel, *text(f"commentary to=functions.{name}"), *json_type]
        return [*header, *text(body), marks.call]

    python = [
        *text(" to=python"),
        marks.channel,
        *text("analysis code"),
        marks.message,
        *text(CODE),
        marks.call,
    ]
    final = [marks.channel, *text("final"), marks.message]
    pretty = json.dumps(json.loads(ORDER_CALL), indent=2, ensure_ascii=False)
    yield "reasoning, answer", RULES, [*analysis, *final, *text(REASONING), marks.return_]
    yield "reasoning, preamble, call", RULES, [*analysis, *preamble, *call("get_weather", WEATHER_CALL)]
    yield "long call", RULES, [*analysis, *call("place_order", ORDER_CALL)]
    yield "pretty-printed call", RULES, call("place_order", pretty)
    yield "python", RULES, [*analysis, *python]
    yield "structured answer", ANSWER, [*analysis, *final, *text(ORDER_CALL), marks.return_]


ADVERSARIAL: dict[str, tuple[dict[str, Any], str]] = {
    "1,000 enum strings": (
        {"enum": [f"value number {i} of many" for i in range(1000)]},
        '"value number 731 of many"',
    ),
    "100 properties": (
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(100)}},
        json.dumps({f"p{i}": "x" for i in range(0, 100, 7)}),
    ),
    "patterns": (
        {"type": "string", "pattern": "^[A-Z][a-z]+( [A-Z][a-z]+){1,5} <[\\w.+-]+@[\\w-]+\\.[a-z]{2,}>$"},
        '"Ada Lovelace King <ada.lovelace@example.org>"',
    ),
    "anyOf of objects": (
        {
            "anyOf": [
                {"type": "object", "properties": {"kind": {"const": f"k{i}"}, f"a{i}": {"type": "number"}}}
                for i in range(20)
            ]
        },
        '{"kind": "k13", "a13": 1.5}',
    ),
    "bounded strings": (
        {"type": "array", "items": {"type": "string", "maxLength": 200}},
        json.dumps(["word " * 30] * 3),
    ),
    "deep recursion": ({}, "[" * 40 + "1" + "]" * 40),
}


def adversarial(tok: Tokenizer) -> Iterator[tuple[str, FrameRules, list[int]]]:
    marks, text = tok.markers, tok.encode
    for name, (schema, body) in ADVERSARIAL.items():
        parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
        namespace = ToolNamespace("functions", tools=(ToolSpec("f", parameters=parameters),))
        ids = [marks.channel, *text("commentary to=functions.f"), marks.message, *text('{"x": ' + body + "}")]
        yield name, FrameRules((namespace,)), [*ids, marks.call]


def walk(mask: FrameMask, ids: list[int], out: "np.ndarray[Any, Any]") -> tuple[list[float], list[float]]:
    """Seconds of each mask and of each look for forced ids along a turn, position by position.

    The processor's, not the clock's: what else runs on the machine does not count.
    """
    masks: list[float] = []
    forced: list[float] = []
    for token_id in ids:
        started = time.thread_time()
        mask.forced()
        between = time.thread_time()
        mask.mask(out)
        masks.append(time.thread_time() - between)
        forced.append(between - started)
        assert out[token_id], f"{token_id} is not allowed: {mask.failure}"
        mask.advance([token_id])
    assert mask.failure is None
    return masks, forced


def measure_masks(rounds: int) -> None:
    console = Console()
    tok = load_o200k_harmony()
    started = time.perf_counter()
    compiler = GrammarCompiler(tok)
    compiler.prepare()
    console.print(f"vocabulary of {tok.vocab_size:,}: {time.perf_counter() - started:.2f} s, once a process")
    out = np.zeros(tok.vocab_size, np.uint8)
    table = Table(
        "turn", "tokens", "mask µs: median", "p99", "worst", "forced µs: median", "p99", "compile ms"
    )
    everything: list[list[float]] = [[], []]
    for group in (traces(tok), adversarial(tok)):
        all_masks: list[float] = []
        all_forced: list[float] = []
        for name, rules, ids in group:
            started = time.perf_counter()
            grammar = compiler.compile(rules)
            grammar.prepare()
            compiled = time.perf_counter() - started
            masks, forced = [], []
            for _ in range(rounds):
                a, b = walk(grammar.start(), ids, out)
                masks += a
                forced += b
            table.add_row(name, str(len(ids)), *figures(masks), *figures(forced)[:2], f"{compiled * 1e3:.1f}")
            all_masks += masks
            all_forced += forced
        table.add_row("all of these", "", *figures(all_masks), *figures(all_forced)[:2], "", end_section=True)
        everything[0] += all_masks
        everything[1] += all_forced
    table.add_row("everything", "", *figures(everything[0]), *figures(everything[1])[:2], "")
    console.print(table)


def figures(seconds: list[float]) -> tuple[str, str, str]:
    """Median, 99th percentile and worst in µs."""
    ordered = sorted(seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    return f"{statistics.median(ordered) * 1e6:.0f}", f"{p99 * 1e6:.0f}", f"{ordered[-1] * 1e6:.0f}"


FIRST = """
import time, ossia
started = time.perf_counter()
model = ossia.load("pocket")
loaded, busy = time.perf_counter(), time.process_time()
next(iter(model.chat(effort="low", grammar={grammar}).stream("Hello")))
print(loaded - started, time.perf_counter() - loaded, time.process_time() - busy)
"""


def measure_first(rounds: int) -> None:
    """Seconds to load pocket, which builds the grammar's vocabulary, and from there to its first token.

    By the clock and of the processor; a new process each time, in turn with the grammar and without.
    """
    seen: dict[bool, list[tuple[float, ...]]] = {True: [], False: []}
    for _ in range(rounds):
        for grammar in (True, False):
            code = FIRST.format(grammar=grammar)
            run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            seen[grammar].append(tuple(map(float, run.stdout.split())))
    table = Table("medians, s", "load", "first token", "of the processor", "all first tokens")
    for grammar, times in seen.items():
        columns = list(zip(*times, strict=True))
        medians = (f"{statistics.median(values):.2f}" for values in columns)
        firsts = " ".join(f"{seconds:.2f}" for seconds in columns[1])
        table.add_row("with the grammar" if grammar else "without", *medians, firsts)
    Console().print(table)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    masks = commands.add_parser("masks")
    masks.add_argument("--rounds", type=int, default=5)
    first = commands.add_parser("first")
    first.add_argument("--rounds", type=int, default=5)
    turns = commands.add_parser("turns")
    turns.add_argument("--out", type=Path, required=True)
    turns.add_argument("--turns", type=int, default=500)
    turns.add_argument("--tokens", type=int, default=400)
    options = parser.parse_args()
    if options.command == "masks":
        measure_masks(options.rounds)
    elif options.command == "first":
        measure_first(options.rounds)
    else:
        asyncio.run(run_turns(options.out, options.turns, options.tokens))
    return 0


if __name__ == "__main__":
    sys.exit(main())
