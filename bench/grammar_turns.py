"""Tool turns of pocket at temperature 1.0, with the grammar and without: how many are well formed, and valid.

`grammar.py turns` runs this; it appends one JSON line per turn to a file and goes on where it stopped.
"""

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import jsonschema
from rich.console import Console
from rich.table import Table

import ossia
from ossia.agent.card import opening
from ossia.harmony.grammar import Grammar, GrammarCompiler, rules_for
from ossia.harmony.messages import Conversation, DeveloperContent, Message, ToolNamespace, ToolSpec, user
from ossia.harmony.parse import parse
from ossia.harmony.render import render_conversation
from ossia.model.sampling import SamplingParams
from ossia.tokenizer.base import Tokenizer

WEATHER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "City and country"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 14},
    },
    "required": ["location"],
    "additionalProperties": False,
}
FUNCTIONS = ToolNamespace(
    "functions",
    tools=(
        ToolSpec("get_weather", "The weather in a place.", WEATHER),
        ToolSpec(
            "calculate",
            "Do a calculation.",
            {
                "type": "object",
                "properties": {"expression": {"type": "string", "description": "such as 2 * (3 + 4)"}},
                "required": ["expression"],
            },
        ),
        ToolSpec(
            "send_mail",
            "Send an e-mail.",
            {
                "type": "object",
                "properties": {
                    "to": {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 4},
                    "subject": {"type": "string", "maxLength": 80},
                    "body": {"type": "string"},
                    "priority": {"enum": ["low", "normal", "high", None]},
                },
                "required": ["to", "subject", "body"],
                "additionalProperties": False,
            },
        ),
        ToolSpec(
            "set_alarm",
            "Set an alarm.",
            {
                "type": "object",
                "properties": {
                    "time": {
                        "type": "string",
                        "pattern": "^([01]\\d|2[0-3]):[0-5]\\d$",
                        "description": "HH:MM",
                    },
                    "days": {
                        "type": "array",
                        "items": {"enum": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]},
                        "maxItems": 7,
                    },
                    "label": {"type": "string"},
                },
                "required": ["time"],
                "additionalProperties": False,
            },
        ),
        ToolSpec(
            "convert",
            "Convert an amount between units.",
            {
                "type": "object",
                "properties": {
                    "amount": {"type": "number", "exclusiveMinimum": 0},
                    "from": {"type": "string"},
                    "to": {"type": "string"},
                },
                "required": ["amount", "from", "to"],
                "additionalProperties": False,
            },
        ),
        ToolSpec("list_notes", "List all notes."),
    ),
)
REQUESTS = (
    "What is the weather in {city}?",
    "Will it rain in {city} during the next {n} days? Use fahrenheit.",
    "How much is {n} times {m} plus {n}?",
    "Calculate ({m} - {n}) / 7.",
    "Write to {name} that I will be {n} minutes late.",
    "Send a mail to {name} and {other} about the trip to {city}.",
    "Wake me at {h}:{m2} on Monday and Friday.",
    "Set an alarm for {h}:{m2}, it is for the train to {city}.",
    "How many miles are {m} kilometers?",
    "Convert {n} pounds to kilograms.",
    "What notes do I have?",
)


def request(turn: int) -> str:
    """What the user asks in a turn."""
    rng = random.Random(turn)
    cities = ("Paris", "Tokyo", "Lagos", "Lima", "Oslo", "Busan", "Quito", "Perth", "Cairo", "Dublin")
    names = ("Anna", "the landlord", "my brother", "Dr. Lee", "info@example.org", "Maria", "the team")
    name, other = rng.sample(names, 2)
    return REQUESTS[turn % len(REQUESTS)].format(
        city=rng.choice(cities),
        n=rng.randint(2, 30),
        m=rng.randint(40, 900),
        h=rng.randint(5, 22),
        m2=f"{rng.randint(0, 59):02}",
        name=name,
        other=other,
    )


def conversation(model: "ossia.Model", turn: int) -> Conversation:
    asked = DeveloperContent("Answer every request by calling one of the functions.", (FUNCTIONS,))
    return Conversation(
        (*opening(model.card, effort="low"), Message("developer", asked), user(request(turn)))
    )


async def sample_turn(
    model: "ossia.Model", turn: int, grammar: Grammar | None, tokens: int
) -> dict[str, Any]:
    """One sampling step at temperature 1.0, and what came of it."""
    mask = grammar.start(max_reasoning_tokens=100) if grammar else None
    prompt = render_conversation(conversation(model, turn), model.tok, completion=True)
    stops, boundary = model.tok.markers.stop_ids, frozenset((model.tok.markers.end,))
    params = SamplingParams(
        max_tokens=tokens, temperature=1.0, seed=turn, stop_ids=stops, boundary_ids=boundary, mask=mask
    )
    ids = [token.id async for token in model.backend.generate(prompt, params)]
    assert mask is None or mask.failure is None, mask and mask.failure
    return {
        "turn": turn,
        "grammar": grammar is not None,
        "tokens": len(ids),
        **judge(model.tok, ids),
    }


def judge(tok: Tokenizer, ids: list[int]) -> dict[str, Any]:
    """How a turn ended, what was malformed in it, and whether its call is valid."""
    complete = bool(ids) and ids[-1] in tok.markers.stop_ids
    messages, diagnostics = parse(ids, tok, "assistant")
    call = next((message for message in messages if message.is_call), None)
    judged: dict[str, Any] = {
        "complete": complete,
        "malformed": [d.code for d in diagnostics],
        "recipient": call.recipient if call else None,
        "problem": None,
        "text": tok.decode(ids),
    }
    tools = {f"functions.{tool.name}": tool for tool in FUNCTIONS.tools}
    if call and call.recipient in tools:
        try:
            value = json.loads(call.text)
            jsonschema.validate(
                value, tools[call.recipient].parameters or {"maxProperties": 0, "type": "object"}
            )
        except (ValueError, jsonschema.ValidationError) as cause:
            judged["problem"] = f"{type(cause).__name__}: {cause}"[:200]
    elif call:
        judged["problem"] = "undeclared"
    return judged


async def run_turns(out: Path, turns: int, tokens: int) -> None:
    """Every turn with the grammar and without, several at once: what is sampled does not depend on it."""
    done = {(row["turn"], row["grammar"]) for row in read_rows(out)}
    wanted = [
        (turn, masked) for turn in range(turns) for masked in (True, False) if (turn, masked) not in done
    ]
    with ossia.load("pocket") as model, out.open("a") as file:
        compiler = GrammarCompiler(model.tok)
        rules = rules_for(conversation(model, 0), tool_choice="required")

        async def work() -> None:
            while wanted:
                turn, masked = wanted.pop(0)
                row = await sample_turn(model, turn, compiler.compile(rules) if masked else None, tokens)
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                file.flush()

        await asyncio.gather(*(work() for _ in range(8)))
    summarize(read_rows(out))


def read_rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def summarize(rows: list[dict[str, Any]]) -> None:
    table = Table("", "turns", "complete", "malformed", "with a call", "valid call", "tokens")
    for name, chosen in (("with the grammar", True), ("without", False)):
        of = [row for row in rows if row["grammar"] is chosen]
        whole = [row for row in of if row["complete"]]
        calls = [row for row in whole if row["recipient"]]
        table.add_row(
            name,
            str(len(of)),
            str(len(whole)),
            str(sum(bool(row["malformed"]) for row in whole)),
            str(len(calls)),
            str(sum(row["problem"] is None for row in calls)),
            f"{sum(row['tokens'] for row in of):,}",
        )
    Console().print(table)
