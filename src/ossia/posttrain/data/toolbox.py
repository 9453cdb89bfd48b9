"""Invents tools: names, descriptions, schemas, and requests a person might type that need them.

A tool is an action on a thing (`restart_server`, `PlaylistCreator`, …) with zero to four arguments drawn
from `FIELDS`; a request puts the argument values into everyday phrases. Nothing here is a real service.
Part of the actions and fields is held out of training, to measure on tools of a kind never seen
(`held_out`).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from random import Random
from typing import Any

from ossia.harmony.messages import ToolSpec

_SYLLABLES = [
    "ba", "be", "bo", "da", "del", "dor", "el", "fa", "fen", "ga", "gor", "ha", "hel", "in", "ja", "jo",
    "ka", "kel", "lan", "lo", "ma", "mar", "mi", "na", "nor", "o", "pa", "per", "qui", "ra", "ri", "ron",
    "sa", "sel", "ta", "tor", "u", "va", "ver", "wi", "wol", "xan", "ya", "yor", "za", "zen",
]  # fmt: skip
_FIRST = [
    "Anna", "Boris", "Carla", "Dmitri", "Elena", "Felix", "Greta", "Henrik", "Isla", "Joon", "Karim",
    "Lucia", "Milan", "Nora", "Olaf", "Petra", "Rafael", "Sofia", "Tomas", "Uma", "Viktor", "Wanda", "Yara",
    "Zoe", "Alice", "Bob", "Maria", "Peter", "Lin", "Mei", "Sanjay", "Fatima", "Kwame", "Astrid",
]  # fmt: skip
_CITIES = [
    "Paris", "Berlin", "Tokyo", "Seoul", "London", "Vienna", "Prague", "Cairo", "Lima", "Boston", "Chicago",
    "Toronto", "Sydney", "Dublin", "Athens", "Warsaw", "Helsinki", "Nairobi", "Mumbai", "Jakarta", "Manila",
    "Havana", "Bogota", "Denver", "Seattle", "Austin", "Geneva", "Lyon", "Porto", "Seville", "Krakow",
    "Utrecht", "Busan", "Kyoto", "Osaka", "Leeds", "New_York", "San_Francisco", "Buenos_Aires", "Cape_Town",
    "Hong_Kong", "Los_Angeles", "Mexico_City",
]  # fmt: skip
_COMMON = [
    "milk", "apples", "coffee", "paint", "soap", "paper", "flour", "lamps", "chairs", "batteries", "gloves",
    "candles", "tickets", "books", "shoes", "pencils", "honey", "tiles", "rope", "nails", "plates", "bolts",
    "cables", "seeds", "tents", "boots", "blankets", "jackets", "mirrors", "buckets",
]  # fmt: skip
_EXTRAS = [
    "cheese", "bacon", "onions", "tomatoes", "lettuce", "pickles", "corn", "beans", "peppers", "egg",
    "tuna", "avocado",
]  # fmt: skip
_TITLES = [
    "Blue Harbour", "Night Train", "The Long Road", "Winter Garden", "Paper Moon", "Second Spring",
    "Silver Lining", "Open Doors", "Quiet River", "The Last Letter", "Red Balloon", "Morning Light",
    "Stone Bridge", "Falling Leaves", "Ocean Drive", "Budget Review", "Team Lunch", "Project Plan",
    "Weekly Report", "Summer Party", "Site Visit", "Release Notes", "Trip Photos", "Reading List",
    "New Ideas",
]  # fmt: skip
_WORDS = [
    "planet", "copper", "velvet", "signal", "pepper", "lantern", "ribbon", "saddle", "thunder", "walnut",
    "anchor", "bishop", "cactus", "dolphin", "ember", "falcon", "garnet", "hollow", "island", "jungle",
    "kettle", "lizard", "magnet", "nectar", "orchid", "pebble", "quartz", "raven", "salmon", "tulip",
    "umbrella", "violin", "willow", "yellow", "zebra",
]  # fmt: skip
_FOLDERS = ["src", "docs", "data", "logs", "tests", "config", "images", "notes", "reports", "backup"]
_FILES = [
    "main.py", "notes.txt", "report.pdf", "index.html", "data.csv", "config.yaml", "readme.md", "photo.jpg",
    "budget.xlsx", "server.log", "app.js",
]  # fmt: skip
_WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_LANGUAGES = [
    "French",
    "German",
    "Spanish",
    "Italian",
    "Korean",
    "Japanese",
    "Portuguese",
    "Dutch",
    "Polish",
    "Swedish",
    "Turkish",
    "Arabic",
]

Value = Any


def invented_name(rng: Random) -> str:
    """A word that no one has seen, so that copying must be learnt."""
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3))).capitalize()


def person(rng: Random) -> str:
    return rng.choice(_FIRST) if rng.random() < 0.6 else invented_name(rng)


def city(rng: Random) -> str:
    return rng.choice(_CITIES).replace("_", " ") if rng.random() < 0.75 else invented_name(rng)


def _code(rng: Random) -> str:
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ") for _ in range(rng.randint(1, 3)))
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(2, 5)))
    style = rng.choice(("{a}-{n}", "{a}{n}", "{n}-{a}", "{a}_{n}", "#{n}", "{n}", "{a}-{n}-{b}"))
    return (
        style.format(a=letters, n=digits, b=rng.choice("ABCXYZ")).lower()
        if rng.random() < 0.15
        else style.format(a=letters, n=digits, b=rng.choice("ABCXYZ"))
    )


def _path(rng: Random) -> str:
    return "/".join([*rng.sample(_FOLDERS, rng.randint(0, 2)), rng.choice(_FILES)])


def _date(rng: Random) -> str:
    return f"{rng.randint(2023, 2031)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _clock(rng: Random) -> str:
    return f"{rng.randint(0, 23):02d}:{rng.choice((0, 5, 10, 15, 20, 30, 40, 45, 50)):02d}"


def _email(rng: Random) -> str:
    return f"{person(rng).lower()}@{rng.choice(('example.com', 'example.org', 'mail.example'))}"


def _some(make: Callable[[Random], str]) -> Callable[[Random], list[str]]:
    def several(rng: Random) -> list[str]:
        return list(dict.fromkeys(make(rng) for _ in range(rng.choice((1, 2, 2, 3, 3)))))

    return several


def _money(rng: Random) -> float | int:
    return rng.choice(
        (
            rng.randint(1, 900),
            round(rng.uniform(1, 500), 2),
            rng.randint(1, 90) * 10,
            rng.randint(1, 99) + 0.5,
        )
    )


def one(words: list[str]) -> Callable[[Random], str]:
    return lambda rng: rng.choice(words)


def between(low: int, high: int) -> Callable[[Random], int]:
    return lambda rng: rng.randint(low, high)


def _degrees(rng: Random) -> float | int:
    return rng.choice((rng.randint(5, 95), rng.randint(10, 30) + 0.5))


def _weight(rng: Random) -> float | int:
    return rng.choice((rng.randint(1, 80), round(rng.uniform(0.5, 40), 1)))


MAKERS: dict[str, Callable[[Random], Value]] = {
    "city": city,
    "clock": _clock,
    "code": _code,
    "date": _date,
    "degrees": _degrees,
    "digits": lambda rng: "".join(rng.choice("0123456789") for _ in range(rng.randint(6, 13))),
    "email": _email,
    "extras": _some(one(_EXTRAS)),
    "flag": lambda rng: rng.random() < 0.6,
    "items": _some(one(_COMMON)),
    "language": one(_LANGUAGES),
    "money": _money,
    "path": _path,
    "people": _some(person),
    "person": person,
    "square": lambda rng: rng.choice("abcdefgh") + rng.choice("12345678"),
    "tags": _some(one(_WORDS)),
    "title": one(_TITLES),
    "weekday": one(_WEEKDAYS),
    "weight": _weight,
    "word": one(_WORDS),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A kind of argument: its names, schema, values, and the phrases that carry a value in a request.

    In a phrase `{}` is the value; for a boolean, `phrases` say true and `negative` say false.
    """

    names: tuple[str, ...]
    schema: dict[str, Any]
    make: Callable[[Random], Value]
    phrases: tuple[str, ...]
    descriptions: tuple[str, ...]
    negative: tuple[str, ...]
    held_out: bool


@dataclass(frozen=True, slots=True)
class Action:
    """Something a tool does: imperative phrases, name parts, and the fields that make sense with it."""

    about: str
    phrases: tuple[str, ...]
    verbs: tuple[str, ...]
    nouns: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    results: tuple[str, ...]
    held_out: bool


def _field(entry: dict[str, Any]) -> Field:
    values: str | dict[str, int] = entry["values"]
    schema: dict[str, Any] = entry["schema"]
    if isinstance(values, dict):
        make = between(values["from"], values["to"])
    else:
        make = one(schema["enum"]) if values == "enum" else MAKERS[values]
    return Field(
        names=tuple(entry["names"]),
        schema=schema,
        make=make,
        phrases=tuple(entry["phrases"]),
        descriptions=tuple(entry["descriptions"]),
        negative=tuple(entry.get("negative", ())),
        held_out=entry.get("held_out", False),
    )


def _action(entry: dict[str, Any]) -> Action:
    listed = ("phrases", "verbs", "nouns", "required", "optional", "results")
    parts: dict[str, tuple[str, ...]] = {key: tuple(entry[key]) for key in listed}
    return Action(about=entry["about"], held_out=entry.get("held_out", False), **parts)


_DATA: dict[str, Any] = json.loads(
    (files("ossia.posttrain.data") / "toolbox.json").read_text(encoding="utf-8")
)
FIELDS: dict[str, Field] = {key: _field(entry) for key, entry in _DATA["fields"].items()}
ACTIONS: tuple[Action, ...] = tuple(_action(entry) for entry in _DATA["actions"])


@dataclass(frozen=True, slots=True)
class Invented:
    """One invented tool: its spec as the model sees it, and which field each argument is."""

    spec: ToolSpec
    action: Action
    arguments: dict[str, str] = field(default_factory=dict[str, str])  # argument name → key of FIELDS
    required: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """A request that needs `tool`, with the arguments it should be called with."""

    tool: Invented
    request: str
    values: dict[str, Value]
    said: dict[str, str]  # argument → the words that carried it

    @property
    def arguments(self) -> str:
        return json.dumps(self.values, ensure_ascii=False)


def styled(words: str, rng: Random) -> str:
    parts = words.split("_")
    camel = "".join(part.capitalize() for part in parts)
    weights = (14, 2, 2, 1)
    return rng.choices((words, camel[:1].lower() + camel[1:], words.replace("_", "-"), camel), weights)[0]


def _tool_name(action: Action, rng: Random) -> str:
    noun = rng.choice(action.nouns)
    shape = rng.random()
    if shape < 0.7:
        name = f"{rng.choice(action.verbs)}_{noun}"
    elif shape < 0.85:
        name = noun
    elif shape < 0.95:
        name = f"{noun}_{rng.choice(action.verbs)}"
    else:
        name = f"{invented_name(rng).lower()}_{noun}"
    return styled(name, rng)


def _describe(action: Action, rng: Random) -> str:
    endings = (".", "", ".", " and return the result.", " for the user.")
    return "" if rng.random() < 0.06 else action.about + rng.choice(endings)


def _property(key: str, optional: bool, rng: Random) -> dict[str, Any]:
    kind = FIELDS[key]
    schema = dict(kind.schema)
    description = rng.choice(kind.descriptions)
    if description:
        schema["description"] = description + rng.choice(("", "", "."))
    if "enum" in schema and optional and rng.random() < 0.4:
        schema["default"] = schema["enum"][0]
    return schema


def invent(rng: Random, *, held_out: bool = False) -> Invented:
    """A tool nobody has seen in just this form."""
    action = rng.choice([action for action in ACTIONS if action.held_out == held_out])
    optional = [key for key in action.optional if rng.random() < 0.55]
    arguments: dict[str, str] = {}
    for key in (*action.required, *optional):
        free = [name for name in FIELDS[key].names if name not in arguments]
        arguments[rng.choices(free, [3, *[1] * (len(free) - 1)])[0] if free else f"{key}_2"] = key
    if rng.random() < 0.15:
        arguments = dict(rng.sample(sorted(arguments.items()), len(arguments)))
    required = tuple(name for name, key in arguments.items() if key in action.required)
    name, description = _tool_name(action, rng), _describe(action, rng)
    if not arguments and rng.random() < 0.5:
        return Invented(ToolSpec(name, description, None), action)
    properties = {name: _property(key, name not in required, rng) for name, key in arguments.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return Invented(ToolSpec(name, description, schema), action, arguments, required)


def spoken(value: Value) -> str:
    if isinstance(value, list):
        words = [str(item) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
    return str(value)


def phrase(key: str, value: Value, rng: Random) -> str:
    """The words that carry `value` in a request."""
    kind = FIELDS[key]
    if isinstance(value, bool):
        return rng.choice(kind.phrases if value else kind.negative)
    return rng.choice(kind.phrases).format(spoken(value))


_WRAPPINGS = (
    "{}",
    "{}",
    "{}.",
    "{}?",
    "Please {}.",
    "Can you {}?",
    "Could you {}?",
    "{}, please.",
    "{} please",
    "I want you to {}.",
    "Hey, {}!",
    "Would you {} for me?",
    "{}. Thanks!",
    "I need help: {}.",
    "Quick, {}.",
    "My next task: {}.",
    "Go ahead and {}.",
    "Hello! {}",
    "Let's {}.",
    "ok now {}",
    "It would be great if you could {}.",
)


def need(tool: Invented, rng: Random) -> Need:
    """A request for `tool`: all required arguments said, optional ones about half the time."""
    chosen = [name for name in tool.arguments if name in tool.required or rng.random() < 0.5]
    values = {name: FIELDS[tool.arguments[name]].make(rng) for name in chosen}
    said = {name: phrase(tool.arguments[name], value, rng) for name, value in values.items()}
    order = list(said.values())
    if rng.random() < 0.3:
        rng.shuffle(order)
    core = " ".join([rng.choice(tool.action.phrases), *order])
    if rng.random() < 0.08 and order:
        core = f"{order[0]}, {' '.join([core.split(' ' + order[0])[0], *order[1:]])}"
    question = core.split(" ")[0] in ("what", "how", "is", "who", "I", "what's")
    text = (
        rng.choice(("{}", "{}?", "{}, please?", "Hi, {}?", "Tell me: {}?"))
        if question
        else rng.choice(_WRAPPINGS)
    )
    text = text.format(core)
    if rng.random() < 0.75:
        text = text[:1].upper() + text[1:]
    return Need(tool, text, values, said)
