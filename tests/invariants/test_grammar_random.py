"""A model with random weights cannot break Harmony: whatever it samples under the grammar is well formed.

Logits are random, tokens are drawn by the engine's own `sample` at temperature 1 under the mask. Random text
would never end by itself, so closing tokens are made likelier; the mask still decides which may come. Every
turn must parse without a diagnostic, call declared tools only, and hold JSON that jsonschema accepts.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from ossia.engine import Engine, EngineOptions, PoolPlan
from ossia.harmony.events import Diagnostic, MessageEnded
from ossia.harmony.grammar.compiler import Grammar, GrammarCompiler
from ossia.harmony.grammar.mask import FrameMask
from ossia.harmony.grammar.rules import AllowedTools, FrameRules, JsonObject, JsonSchema
from ossia.harmony.messages import Message, TextInput, ToolNamespace, ToolSpec
from ossia.harmony.parse import StreamParser
from ossia.model.batch import Batch
from ossia.model.sampling import Ask, SamplingParams, sample
from ossia.tokenizer.base import Tokenizer
from ossia.tokenizer.checkpoint import load_checkpoint_tokenizer
from ossia.tokenizer.o200k import load_o200k_harmony

TINY = Path(__file__).parents[1] / "golden" / "tokenizer_tiny.json"
SCHEMAS: dict[str, dict[str, Any] | None] = {
    "nothing": None,
    "anything": {},
    "weather": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "City, country"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "integer", "minimum": 1, "maximum": 14},
        },
        "required": ["location"],
        "additionalProperties": False,
    },
    "tree": {
        "type": "object",
        "properties": {"root": {"$ref": "#/$defs/node"}},
        "required": ["root"],
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "value": {"type": ["number", "null"]},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 2},
                },
                "required": ["value"],
                "additionalProperties": False,
            }
        },
    },
    "shape": {
        "type": "object",
        "properties": {
            "shape": {
                "oneOf": [
                    {
                        "type": "object",
                        "properties": {"kind": {"const": "circle"}, "r": {"type": "number", "minimum": 0}},
                        "required": ["kind", "r"],
                    },
                    {
                        "type": "object",
                        "properties": {"kind": {"const": "box"}, "w": {"type": "integer"}},
                        "required": ["kind", "w"],
                    },
                ]
            },
            "when": {"type": "string", "format": "date-time"},
            "id": {"type": "string", "pattern": "^[a-f]{2,4}-\\d{3}$"},
            "step": {"type": "number", "multipleOf": 0.25, "maximum": 9},
        },
        "required": ["shape", "id", "step"],
        "additionalProperties": False,
    },
    "mixed": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string", "minLength": 1, "maxLength": 5}}},
            {"type": "object", "properties": {"b": {"anyOf": [{"type": "boolean"}, {"const": 7}]}}},
        ],
        "required": ["a", "b"],
    },
    "map": {
        "type": "object",
        "properties": {"a": {"type": "string", "maxLength": 3}},
        "patternProperties": {"^x-": {"type": "integer", "exclusiveMinimum": -3}},
        "additionalProperties": {"type": "array", "items": {"type": "boolean"}, "minItems": 1},
        "required": ["a"],
        "minProperties": 2,
    },
    "nullable": {
        "type": "object",
        "properties": {
            "name": {"type": "string", "nullable": True},
            "grade": {"enum": [1, 2.5, "three", None, [4], {"five": 5}]},
            "pair": {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "integer"}],
                "items": False,
            },
        },
        "required": ["name", "grade"],
    },
    # The rest holds keywords that cannot be enforced: valid JSON, and the gap in the notes.
    "unique": {
        "type": "object",
        "properties": {"tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True}},
        "required": ["tags"],
    },
    "overlap": {
        "type": "object",
        "properties": {"n": {"oneOf": [{"type": "integer"}, {"type": "number", "minimum": 0}]}},
        "required": ["n"],
    },
}
INPUTS = {
    "anytext": TextInput(),
    "phone": TextInput(regex=r"\+?\d{2,4}[ -]\d{3,5}"),
    "sum": TextInput(lark='start: term ("+" term)*\nterm: NUMBER | "(" start ")"\nNUMBER: /[0-9]{1,3}/'),
}


def functions(*names: str) -> ToolNamespace:
    tools = [
        ToolSpec(name, text_input=INPUTS[name])
        if name in INPUTS
        else ToolSpec(name, parameters=SCHEMAS[name])
        for name in names
    ]
    return ToolNamespace("functions", tools=tuple(tools))


PYTHON = ToolNamespace("python", "Runs code.")
BROWSER = ToolNamespace(
    "browser",
    tools=(
        ToolSpec(
            "search",
            parameters={
                "type": "object",
                "properties": {"query": {"type": "string"}, "topn": {"type": "number", "default": 10}},
                "required": ["query"],
            },
        ),
        ToolSpec("open", parameters={"type": "object", "properties": {"id": {"type": ["number", "string"]}}}),
    ),
)
EVERYTHING = (functions(*SCHEMAS, *INPUTS), PYTHON, BROWSER)
FORMAT = JsonSchema({"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]})


@dataclass(frozen=True)
class Case:
    rules: FrameRules
    max_reasoning_tokens: int | None = None


CASES = {
    "bare": Case(FrameRules()),
    "everything": Case(FrameRules(EVERYTHING)),
    "everything, must": Case(FrameRules(EVERYTHING, "required"), 12),
    "functions": Case(FrameRules((functions("weather", "tree", "mixed", "map"),)), 20),
    "functions, must": Case(FrameRules((functions("shape", "nullable", "nothing"),), "required"), 5),
    "one named": Case(
        FrameRules((functions("weather", "tree"),), AllowedTools(("functions.tree",), required=True)), 0
    ),
    "a subset": Case(FrameRules(EVERYTHING, AllowedTools(("python", "functions.phone", "browser"))), 8),
    "none": Case(FrameRules(EVERYTHING, "none"), 8),
    "spent": Case(FrameRules(EVERYTHING, max_calls=0)),
    "text": Case(FrameRules((functions(*INPUTS), PYTHON), "required"), 9),
    "gaps": Case(FrameRules((functions("unique", "overlap"),), "required"), 6),
    "json": Case(FrameRules(response_format=JsonObject()), 7),
    "schema": Case(FrameRules(response_format=FORMAT), 30),
    "schema and tools": Case(FrameRules((functions("mixed", "anything"), PYTHON), response_format=FORMAT), 3),
    "any json": Case(FrameRules(response_format=JsonSchema(SCHEMAS["shape"] or {}))),
}


class RandomModel:
    """Logits from nowhere, but higher where a text, a string, a list or an object ends: a text has some
    `length` tokens."""

    def __init__(self, tok: Tokenizer, seed: int, length: int = 12) -> None:
        self._tok = tok
        random = np.random.default_rng(seed)
        self.rows = random.standard_normal((8, tok.vocab_size + 24)).astype(np.float32)  # a padded vocabulary
        marks = tok.markers
        closing = [marks.end, marks.call, marks.return_, *(i for text in '"}])' for i in tok.encode(text))]
        self.rows[:, closing] = math.log(tok.vocab_size * 1.65 / length)
        self.rows[:, [*tok.encode(","), *tok.encode("}"), *tok.encode("]")]] += 2

    def turn(self, mask: FrameMask, seed: int, limit: int = 400) -> list[int]:
        """One sampling step, as the engine runs it: forced ids, else a draw under the mask."""
        ids: list[int] = []
        params = SamplingParams(mask=mask)
        while not mask.finished and len(ids) < limit:
            new = mask.forced()
            if not new:
                logits = self.rows[(seed * 31 + len(ids) * 7) % 8]
                new = [sample(logits, params, position=len(ids), seed=seed).id]
            for token_id in new:
                mask.advance([token_id])
                ids.append(token_id)
        return ids


def problems(tok: Tokenizer, case: Case, grammar: Grammar, ids: list[int]) -> Iterator[str]:
    """Everything wrong with a turn."""
    parser = StreamParser(tok)
    events = [event for token_id in ids for event in parser.feed(token_id)] + parser.finish()
    yield from (f"{event}" for event in events if isinstance(event, Diagnostic))
    messages = [event.message for event in events if isinstance(event, MessageEnded)]
    stops = [event.stop for event in events if isinstance(event, MessageEnded)]
    last = messages[-1]
    if stops[-1] != ("call" if last.is_call else "return") or set(stops[:-1]) - {"end"}:
        yield f"ends {stops}"
    if not last.is_call and last.channel != "final":
        yield f"ends in {last.channel}"
    if case.rules.must_call and not last.is_call:
        yield "no call, but one is required"
    if any(message.is_call or message.channel == "final" for message in messages[:-1]):
        yield "goes on after its end"
    yield from body_problems(case.rules, grammar, last)


def body_problems(rules: FrameRules, grammar: Grammar, message: Message) -> Iterator[str]:
    recipient = message.recipient
    if recipient is None:
        form = rules.response_format
        if form is not None:
            value = json.loads(message.text)
            jsonschema.validate(value, form.schema if isinstance(form, JsonSchema) else {"type": "object"})
        return
    if recipient.split(".")[0] == "python" and PYTHON in rules.namespaces:
        return
    callee = {callee.recipient: callee for callee in rules.callees}.get(recipient)
    if callee is None or callee.tool is None:
        yield f"{recipient} may not be called"
    elif callee.tool.text_input is not None:
        yield from filter(None, [grammar.problem(recipient, message.text)])
    else:
        value = json.loads(message.text)
        if not isinstance(value, dict):
            yield f"{message.text} is no object"
        if not any(note.startswith(f"{recipient}:") for note in grammar.notes):
            yield from filter(None, [grammar.problem(recipient, message.text)])
            if "nullable" not in recipient:  # a word of OpenAPI's, which jsonschema passes over
                schema = callee.tool.parameters
                jsonschema.validate(value, {"additionalProperties": False} if schema is None else schema)


def run(tok: Tokenizer, cases: list[str], turns: int, seed: int, length: int = 12) -> Counter[str]:
    """Sample `turns` turns over `cases`; how many of each kind there were."""
    compiler, model = GrammarCompiler(tok), RandomModel(tok, seed, length)
    counts: Counter[str] = Counter()
    for turn in range(turns):
        case = CASES[cases[turn % len(cases)]]
        grammar = compiler.compile(case.rules)
        limit = None if case.max_reasoning_tokens is None else case.max_reasoning_tokens + turn % 3
        mask = grammar.start(max_reasoning_tokens=limit)
        ids = model.turn(mask, seed + turn)
        assert mask.failure is None, mask.failure
        if not mask.finished:
            counts["cut"] += 1
            continue
        found = list(problems(tok, case, grammar, ids))
        assert not found, f"{cases[turn % len(cases)]}: {found[:3]}\n{tok.decode(ids)}"
        counts["whole"] += 1
        counts["calls"] += ids[-1] == tok.markers.call
        counts["reasoning closed"] += mask.closed_reasoning
    return counts


def test_tiny_vocabulary() -> None:
    counts = run(load_checkpoint_tokenizer(TINY), list(CASES), 210, seed=1)
    assert counts["whole"] > 180, counts
    assert counts["calls"] > 50, counts
    assert counts["reasoning closed"] > 30, counts


def test_o200k() -> None:
    counts = run(load_o200k_harmony(), list(CASES), len(CASES), seed=2, length=4)
    assert counts["whole"] > 0.8 * len(CASES), counts


class Puppet:
    """A model for the engine, with the logits of `RandomModel`."""

    def __init__(self, rows: NDArray[np.float32]) -> None:
        self._rows = rows

    def copy_block(self, group: str, src: int, dst: int) -> None: ...

    def sample(self, batch: Batch, asks: Sequence[Ask | None]) -> list[NDArray[np.float32]]:
        last = batch.positions[batch.logit_rows]
        return list(self._rows[last % len(self._rows)])


Running = dict[int, tuple[Case, Grammar, FrameMask, list[int]]]


def many_at_once(tok: Tokenizer, prepare: Callable[[Engine], None] = lambda engine: None) -> Running:
    """Two turns of every case, in one engine; by their seeds."""
    rows = RandomModel(tok, seed=3).rows[:, : tok.vocab_size]
    engine = Engine(
        Puppet(rows),
        Puppet(rows),
        PoolPlan(256, 256, 0, 512),
        vocab_size=tok.vocab_size,
        sliding_window=128,
        model_context=512,
        options=EngineOptions(max_sequences=8),
    )
    prepare(engine)
    compiler = GrammarCompiler(tok)
    running: Running = {}
    for turn, case in enumerate(2 * list(CASES.values())):
        grammar = compiler.compile(case.rules)
        mask = grammar.start(max_reasoning_tokens=case.max_reasoning_tokens)
        params = SamplingParams(max_tokens=400, seed=turn, mask=mask)
        prompt = [tok.markers.start, *tok.encode("assistant")]
        engine.submit(prompt, params)
        running[turn] = (case, grammar, mask, [])
    while engine.has_work:
        for output in engine.step():
            assert output.error is None
            assert output.token is not None
            running[output.sequence.seed][3].append(output.token.id)
    return running


def test_in_the_engine_many_at_once() -> None:
    """The engine appends what is forced, stops where a turn is finished, and keeps the turns apart."""
    tok = load_checkpoint_tokenizer(TINY)
    running = many_at_once(tok)
    whole = [(case, grammar, ids) for case, grammar, mask, ids in running.values() if mask.finished]
    assert len(whole) > 0.8 * len(running)
    for case, grammar, ids in whole:
        assert not list(problems(tok, case, grammar, ids)), tok.decode(ids)
    for case, grammar, mask, ids in running.values():  # and every id of them was allowed
        again = grammar.start(max_reasoning_tokens=case.max_reasoning_tokens)
        for token_id in ids:
            again.forced()
            again.advance([token_id])
        assert mask.failure is None
        assert again.failure is None


@pytest.mark.parametrize("right", [0.4, 0.8, 1.0])
def test_drafts_leave_every_grammar_as_it_was(guessing: Callable[..., None], right: float) -> None:
    """What a mask is asked ahead of a draft it forgets again, also where a limit closes reasoning there."""
    tok = load_checkpoint_tokenizer(TINY)
    plain = many_at_once(tok)
    engines: list[Engine] = []

    def prepare(engine: Engine) -> None:
        engines.append(engine)
        guessing(engine, lambda s: plain[s.seed][3], right)

    drafted = many_at_once(tok, prepare)
    assert engines[0].stats.accepted_tokens > 100
    assert {seed: ids for seed, (*_, ids) in drafted.items()} == {
        seed: ids for seed, (*_, ids) in plain.items()
    }
    assert not [mask.failure for _, _, mask, _ in drafted.values() if mask.failure]


@pytest.mark.slow
def test_ten_thousand_turns() -> None:
    counts = run(load_checkpoint_tokenizer(TINY), list(CASES), 10_000, seed=100)
    counts += run(load_o200k_harmony(), list(CASES), 700, seed=20_000, length=5)
    assert counts["whole"] >= 10_000, counts
