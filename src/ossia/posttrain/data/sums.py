"""Invents questions that need arithmetic, with the expression that answers them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from ossia.posttrain.data.topics import NAMES
from ossia.tools.arithmetic import calculate


@dataclass(frozen=True, slots=True)
class Sum:
    """A question, the expression to calculate, and the short words for it ("12 plus 5")."""

    question: str
    expression: str
    words: str

    @property
    def result(self) -> str:
        return calculate(self.expression)


def _whole(rng: Random) -> int:
    return rng.randint(2, 10 ** rng.choice((1, 2, 2, 3, 3, 4, 4, 5, 6)) + 8)


def _written(value: float | int, rng: Random) -> str:
    """As people write it: now and then with a comma for thousands."""
    return f"{value:,}" if value >= 1000 and rng.random() < 0.2 else str(value)


def _number(rng: Random) -> int | float:
    return _whole(rng) if rng.random() < 0.85 else round(rng.uniform(0.5, 999), rng.choice((1, 2)))


_BINARY: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "+": (
        ("{a} plus {b}", "{a} + {b}", "the sum of {a} and {b}", "{a} and {b} together", "{a} added to {b}"),
        ("Add {a} and {b}", "Add {a} to {b}", "Sum up {a} and {b}"),
    ),
    "-": (
        (
            "{a} minus {b}",
            "{a} - {b}",
            "the difference between {a} and {b}",
            "{a} less {b}",
            "{a} take away {b}",
        ),
        ("Subtract {b} from {a}", "Take {b} away from {a}", "Take {b} off {a}"),
    ),
    "*": (
        ("{a} times {b}", "{a} * {b}", "{a} x {b}", "the product of {a} and {b}", "{a} multiplied by {b}"),
        ("Multiply {a} by {b}", "Multiply {a} and {b}"),
    ),
    "/": (
        ("{a} divided by {b}", "{a} / {b}", "{a} over {b}", "the quotient of {a} and {b}"),
        ("Divide {a} by {b}", "Split {a} by {b}"),
    ),
}
_ASK = (
    "What is {}?",
    "What is {}?",
    "What's {}?",
    "what is {}",
    "How much is {}?",
    "Calculate {}.",
    "Compute {}.",
    "Please calculate {}.",
    "Can you work out {}?",
    "I need {}.",
    "Tell me {}.",
    "{}?",
    "{} = ?",
    "Work out {} for me.",
    "Could you compute {}, please?",
    "Do you know {}?",
    "Evaluate {}.",
    "Find {}.",
    "{}",
    "Help me with {}.",
    "Hi! What is {}?",
    "calc {}",
    "Quick: {}",
    "Give me {}.",
    "I'd like to know {}.",
    "What do I get for {}?",
    "Is it hard to calculate {}?",
)
_DO = (
    "{}.",
    "{}",
    "Please {}.",
    "Can you {}?",
    "{}, please.",
    "I want to {}.",
    "{} for me.",
    "Could you {} for me?",
    "What do I get if I {}?",
)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _plain(rng: Random) -> Sum:
    sign = rng.choice("+-*/--+*")
    a, b = _number(rng), _number(rng)
    if sign == "-" and b > a and rng.random() < 0.85:
        a, b = b, a
    if sign == "/" and rng.random() < 0.7:
        b = rng.randint(2, 99)
        a = b * rng.randint(2, 999)
    nouns, orders = _BINARY[sign]
    spoken = {"a": _written(a, rng), "b": _written(b, rng)}
    if rng.random() < 0.75:
        words = rng.choice(nouns).format(**spoken)
        question = rng.choice(_ASK).format(words)
    else:
        words = f"{spoken['a']} {sign} {spoken['b']}"
        order = rng.choice(orders).format(**spoken)
        frame = rng.choice(_DO)
        question = frame.format(order if frame.startswith("{}") else _lower(order))

    return Sum(question, f"{a} {sign} {b}", words)


def _chain(rng: Random) -> Sum:
    numbers = [_whole(rng) % 2000 + 1 for _ in range(rng.randint(3, 4))]
    shape = rng.choice(("+", "list", "(+)*", "*+", "-("))
    if shape in ("+", "list"):
        expression = " + ".join(map(str, numbers))
        comma = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
        words = rng.choice((f"the sum of {comma}", f"{comma} added up", expression))
        if shape == "list" and rng.random() < 0.5:
            return Sum(
                rng.choice(("Add up {}.", "Please add {}.", "Sum {}.", "Add {} together.")).format(comma),
                expression,
                words,
            )
    else:
        a, b, c = numbers[:3]
        expression = {
            "(+)*": f"({a} + {b}) * {c}",
            "*+": f"{a} * {b} + {c}",
            "-(": f"{a * 10} - ({b} + {c})",
        }[shape]
        words = expression
    return Sum(rng.choice(_ASK).format(words), expression, words)


def _share(rng: Random) -> Sum:
    rate, whole = (
        rng.choice((1, 2, 3, 5, 8, 10, 12, 19, 20, 25, 30, 40, 60, 75, 80, 90)),
        _whole(rng) % 9000 + 10,
    )
    mark = rng.choice((f"{rate}%", f"{rate} percent", f"{rate} per cent"))
    words = f"{mark} of {whole}"
    question = rng.choice((*_ASK[:12], "I tip {}, how much is that?"))
    return Sum(question.format(words), f"{rate}% of {whole}", words)


def _power(rng: Random) -> Sum:
    if rng.random() < 0.4:
        a = rng.randint(11, 900)
        words = rng.choice((f"{a} squared", f"the square of {a}", f"{a} to the power of 2", f"{a}^2"))
        return Sum(rng.choice(_ASK).format(words), f"{a}^2", words)
    if rng.random() < 0.3:
        root = rng.randint(4, 300)
        words = rng.choice((f"the square root of {root * root}", f"sqrt({root * root})"))
        return Sum(rng.choice(_ASK).format(words), f"sqrt({root * root})", words)
    a, n = rng.randint(2, 12), rng.randint(3, 16)
    words = rng.choice((f"{a} to the power of {n}", f"{a}^{n}", f"{a} to the {n}th power"))
    return Sum(rng.choice(_ASK).format(words), f"{a}^{n}", words)


_THINGS = [
    "apples", "books", "chairs", "boxes", "coins", "tickets", "pencils", "stamps", "bricks", "bottles",
    "eggs", "cards", "plants", "pages", "tiles", "photos",
]  # fmt: skip
_STORIES: tuple[tuple[str, str], ...] = (
    ("{n} has {a} {t} and buys {b} more. How many {t} does {n} have now?", "{a} + {b}"),
    ("{n} had {s} {t} and gave away {b}. How many are left?", "{s} - {b}"),
    ("I have {s} dollars and pay {b}. What is left?", "{s} - {b}"),
    ("A shop sells {a} {t} a day. How many does it sell in {c} days?", "{a} * {c}"),
    ("One crate holds {c} {t}. How many {t} fit in {a} crates?", "{c} * {a}"),
    ("{d} {t} are shared equally by {c} children. How many does each get?", "{d} / {c}"),
    ("A ticket costs {c} euros. What do {a} tickets cost?", "{c} * {a}"),
    ("{n} reads {c} pages a day. How many pages is that after {a} days?", "{c} * {a}"),
    (
        "The train travels {a} km in the morning and {b} km in the evening. How far is that in total?",
        "{a} + {b}",
    ),
    ("A house was built in {y}. How old was it in {z}?", "{z} - {y}"),
    ("{n} was born in {y}. How old is {n} in {z}?", "{z} - {y}"),
    ("How many minutes are in {c} hours?", "{c} * 60"),
    ("How many seconds are {a} minutes?", "{a} * 60"),
    ("How many hours are {c} days?", "{c} * 24"),
    ("How many months are {c} years?", "{c} * 12"),
    ("I earn {a} a week. How much is that in {c} weeks?", "{a} * {c}"),
    ("A room is {c} metres long and {e} metres wide. What is its area?", "{c} * {e}"),
    ("What is the perimeter of a rectangle with sides {c} and {e}?", "2 * ({c} + {e})"),
    ("{n} scored {a}, {b} and {f} points. What is the total?", "{a} + {b} + {f}"),
    ("What is the average of {a}, {b} and {f}?", "({a} + {b} + {f}) / 3"),
    ("A bill of {d} is split by {c} people. How much is it for each?", "{d} / {c}"),
    ("The price was {s} and went down by {b}. What is it now?", "{s} - {b}"),
    ("The price was {a} and rises by {b}. What is the new price?", "{a} + {b}"),
    ("A book has {s} pages and I have read {b}. How many pages are left?", "{s} - {b}"),
    ("We need {a} {t} for each of {c} tables. How many {t} is that?", "{a} * {c}"),
    ("My budget is {s}. I spent {b} and {f}. What remains?", "{s} - {b} - {f}"),
    ("A price of {a} with {r}% discount: how much is the discount?", "{r}% of {a}"),
    ("A meal costs {a} and I want to tip {r} percent. How much is the tip?", "{r}% of {a}"),
    ("There are {a} {t} in one box and {b} in another. How many {t} are there?", "{a} + {b}"),
    ("{n} saves {c} a month. How much is saved after {e} months?", "{c} * {e}"),
)


def _story(rng: Random) -> Sum:
    b, f, c = rng.randint(3, 900), rng.randint(3, 900), rng.randint(2, 48)
    year = rng.randint(1850, 2015)
    known = {
        "n": rng.choice(NAMES),
        "t": rng.choice(_THINGS),
        "a": rng.randint(3, 2000),
        "b": b,
        "f": f,
        "c": c,
        "d": c * rng.randint(2, 200),
        "e": rng.randint(2, 60),
        "s": b + f + rng.randint(1, 4000),
        "y": year,
        "z": year + rng.randint(1, 130),
        "r": rng.choice((5, 10, 12, 15, 20, 25, 30)),
    }
    question, expression = rng.choice(_STORIES)
    expression = expression.format(**known)
    return Sum(question.format(**known), expression, expression)


def invent_sum(rng: Random) -> Sum:
    """One question that needs the calculator; its expression can always be calculated."""
    kinds: tuple[Callable[[Random], Sum], ...] = (_plain, _chain, _share, _power, _story)
    return rng.choices(kinds, weights=(50, 10, 8, 8, 24))[0](rng)


def follow_up(before: Sum, rng: Random) -> Sum:
    """A second question that leans on the first ("And times 7?", "Now 12 plus 5")."""
    value = rng.randint(2, 500)
    if rng.random() < 0.5 and len(before.result) < 9 and before.result.lstrip("-").isdigit():
        frame, sign = rng.choice(
            (
                ("And times {}?", "*"),
                ("Now add {}.", "+"),
                ("And minus {}?", "-"),
                ("Subtract {} from that.", "-"),
                ("Multiply that by {}.", "*"),
                ("plus {}?", "+"),
            )
        )
        expression = f"{before.result} {sign} {value}"
        return Sum(frame.format(value), expression, expression)
    new = _plain(rng)
    return Sum(
        rng.choice(("And {}?", "What about {}?", "Now {}.", "and {}")).format(new.words),
        new.expression,
        new.words,
    )
