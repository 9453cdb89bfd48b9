"""Everyday tools: requests that carry their arguments inside whole sentences ("A small burger with onions").

Beside the tools of `toolbox`, whose requests are put together from phrases, these teach that arguments
stand anywhere, may be implied by a verb (open, close), and that a time of day is two numbers. The sentences
are in `everyday.json`.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from random import Random
from typing import Any

from ossia.harmony.messages import ToolSpec
from ossia.posttrain.data import toolbox
from ossia.posttrain.data.toolbox import MAKERS, Action, Invented, Need, Value, between, one

_SHARE = 0.5  # of the tools that training shows
_FOLLOW_UPS = (
    "And {}?",
    "And {}?",
    "What about {}?",
    "and {}",
    "Now {}.",
    "How about {}?",
    "The same {}, please.",
)
_WRAPPINGS = (
    "{}",
    "{}",
    "{}.",
    "{}.",
    "{}?",
    "Please {}.",
    "{}, please.",
    "{} please",
    "Hi! {}.",
    "{}, thanks!",
    "ok, {}",
)


@dataclass(frozen=True, slots=True)
class Everyday:
    """One entry of `everyday.json`; a request is a sentence and the values that the sentence implies."""

    action: Action
    arguments: dict[str, dict[str, Any]]
    requests: tuple[tuple[str, dict[str, Value]], ...]


def _read(entry: dict[str, Any]) -> Everyday:
    nothing: tuple[str, ...] = ()
    action = Action(
        about=entry["about"],
        phrases=nothing,
        verbs=nothing,
        nouns=tuple(entry["names"]),
        required=nothing,
        optional=nothing,
        results=tuple(entry["results"]),
        held_out=False,
    )
    requests = tuple((text, fixed) for text, fixed in entry["requests"])
    return Everyday(action, entry["arguments"], requests)


_DATA: dict[str, Any] = json.loads(
    (files("ossia.posttrain.data") / "everyday.json").read_text(encoding="utf-8")
)
EVERYDAY = tuple(_read(entry) for entry in _DATA["tools"])
_BY_ACTION = {entry.action.about: entry for entry in EVERYDAY}


def invent_tool(rng: Random, *, held_out: bool = False) -> Invented:
    """A tool of either kind; held out ones are `toolbox`'s."""
    if held_out or rng.random() >= _SHARE:
        return toolbox.invent(rng, held_out=held_out)
    entry = rng.choice(EVERYDAY)
    arguments: dict[str, str] = {}
    for key, argument in entry.arguments.items():
        free = [name for name in argument["names"] if name not in arguments]
        arguments[rng.choices(free, [3, *[1] * (len(free) - 1)])[0] if free else key] = key
    needed = {
        name for name, key in arguments.items() if all(_says(request, key) for request in entry.requests)
    }
    return Invented(_spec(entry, arguments, needed, rng), entry.action, arguments, tuple(sorted(needed)))


def _says(request: tuple[str, dict[str, Value]], key: str) -> bool:
    text, fixed = request
    return key in fixed or f"{{{key}}}" in text or f"{{{key}:" in text


def _spec(entry: Everyday, arguments: dict[str, str], needed: set[str], rng: Random) -> ToolSpec:
    name = toolbox.styled(rng.choice(entry.action.nouns), rng)
    description = "" if rng.random() < 0.05 else entry.action.about
    if not arguments:
        return ToolSpec(
            name, description, None if rng.random() < 0.7 else {"type": "object", "properties": {}}
        )
    properties: dict[str, Any] = {}
    for argument, key in arguments.items():
        kind = entry.arguments[key]
        said = {"description": kind["description"]} if "description" in kind and rng.random() < 0.7 else {}
        properties[argument] = {**kind["schema"], **said}
    required = [argument for argument in arguments if argument in needed]
    return ToolSpec(
        name,
        description,
        {"type": "object", "properties": properties, **({"required": required} if required else {})},
    )


def need(tool: Invented, rng: Random) -> Need:
    """A request for `tool`, whichever kind it is."""
    entry = _BY_ACTION.get(tool.action.about)
    if entry is None:
        return toolbox.need(tool, rng)
    text, fixed = rng.choice(entry.requests)
    values: dict[str, Value] = {}
    for argument, key in tool.arguments.items():
        if key in fixed:
            values[argument] = fixed[key]
        elif _says((text, fixed), key):
            values[argument] = _value(entry.arguments[key]["values"], rng)
    spoken = {tool.arguments[name]: _spoken(value) for name, value in values.items()}
    request = rng.choice(_WRAPPINGS).format(text.format(**spoken))
    if rng.random() < 0.8:
        request = request[:1].upper() + request[1:]
    return Need(tool, request, values, {})


def follow_up_need(before: Need, rng: Random) -> Need | None:
    """The same call with one value changed and only that said ("And in Rome?"); None where impossible."""
    choices = [name for name, value in before.values.items() if isinstance(value, str)]
    if not choices:
        return None
    name = rng.choice(choices)
    key = before.tool.arguments[name]
    entry = _BY_ACTION.get(before.tool.action.about)
    value = toolbox.FIELDS[key].make(rng) if entry is None else _value(entry.arguments[key]["values"], rng)
    said = toolbox.phrase(key, value, rng) if entry is None and rng.random() < 0.6 else toolbox.spoken(value)
    request = rng.choice(_FOLLOW_UPS).format(said)
    return Need(before.tool, request, {**before.values, name: value}, {})


def _value(source: str | dict[str, int] | list[str], rng: Random) -> Value:
    if isinstance(source, str):
        return MAKERS[source](rng)
    make = one(source) if isinstance(source, list) else between(source["from"], source["to"])
    return make(rng)


def _spoken(value: Value) -> Value:
    """Numbers stay numbers, so that a sentence can say how many digits a minute has."""
    return value if isinstance(value, int | float) else toolbox.spoken(value)
