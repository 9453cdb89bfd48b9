"""Python functions as tools: schema from the signature, calls that always answer with text."""

import asyncio
import contextvars
import dataclasses
import functools
import json
import sys
import threading
from collections.abc import Sequence
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, TypedDict, TypeVar

import pytest

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import ToolNamespace
from ossia.harmony.schema import render_namespace
from ossia.tools import MAX_RESULT_CHARS, ToolOutcome, full_name, tool


class Unit(Enum):
    CELSIUS = "C"
    FAHRENHEIT = "F"


@dataclasses.dataclass
class Point:
    x: float
    y: float
    label: str = "here"

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x must not be negative")


class Order(TypedDict):
    item: str
    count: NotRequired[int]


@dataclasses.dataclass
class Tree:
    child: Optional["Tree"]


City = NewType("City", str)
T = TypeVar("T")
INTEGERS = {"type": "array", "items": {"type": "integer"}}


def call(function: Any, arguments: Any) -> ToolOutcome:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return asyncio.run(tool(function).call(text))


def weather(city: City, unit: Unit = Unit.CELSIUS, days: Annotated[int, "how many days"] = 1) -> str:
    """Forecast for a city.

    Uses the nearest station.

    Args:
        city: Name of the city,
            in English.
        unit: Scale of the temperature.
        days: overridden by the annotation

    Returns:
        The forecast.
    """
    return f"{city} {unit.name} {days!r}"


def test_schema_and_description_come_from_the_signature() -> None:
    spec = tool(weather).spec
    assert spec.name == "weather"
    assert spec.description == "Forecast for a city.\nUses the nearest station."
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city, in English."},
            "unit": {
                "type": "string",
                "enum": ["C", "F"],
                "description": "Scale of the temperature.",
                "default": "C",
            },
            "days": {"type": "integer", "description": "how many days", "default": 1},
        },
        "required": ["city"],
        "additionalProperties": False,
    }
    assert full_name(tool(weather)) == "functions.weather"


def test_the_model_sees_typescript() -> None:
    text = render_namespace(ToolNamespace("functions", tools=(tool(weather).spec,)))
    assert 'unit?: "C" | "F", // default: C' in text
    assert "// Name of the city, in English.\ncity: string," in text


@pytest.mark.parametrize(
    ("hint", "schema", "given", "loaded"),
    [
        (str, {"type": "string"}, "a", "a"),
        (str, {"type": "string"}, 5, "5"),
        (int, {"type": "integer"}, 3.0, 3),
        (int, {"type": "integer"}, "3", 3),
        (float, {"type": "number"}, 3, 3.0),
        (float, {"type": "number"}, "2.5", 2.5),
        (bool, {"type": "boolean"}, "true", True),
        (None, {"type": "null"}, None, None),
        (Any, {}, {"a": [1]}, {"a": [1]}),
        (list, {"type": "array", "items": {}}, [1, "a"], [1, "a"]),
        (list[int], INTEGERS, [1, "2"], [1, 2]),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}, ["a"], ["a"]),
        (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 1], {1}),
        (tuple[int, ...], INTEGERS, [1, 2], (1, 2)),
        (
            tuple[int, int],
            {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
            [1, 2],
            (1, 2),
        ),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": 1}),
        (dict, {"type": "object", "additionalProperties": True}, {"a": 1}, {"a": 1}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}, "b", "b"),
        (Literal[1, 2], {"type": "integer", "enum": [1, 2]}, "2", 2),
        (Literal[1, True], {"type": ["integer", "boolean"], "enum": [1, True]}, True, True),
        (Unit, {"type": "string", "enum": ["C", "F"]}, "FAHRENHEIT", Unit.FAHRENHEIT),
        (int | None, {"type": ["integer", "null"]}, None, None),
        (int | str, {"type": ["integer", "string"]}, "7", "7"),
        (bool | list[int], {"oneOf": [{"type": "boolean"}, INTEGERS]}, [7], [7]),
        (date, {"type": "string", "format": "date"}, "2026-02-28", date(2026, 2, 28)),
        (City, {"type": "string"}, "Seoul", "Seoul"),
    ],
)  # fmt: skip
def test_each_hint_has_a_schema_and_loads(hint: Any, schema: Any, given: Any, loaded: Any) -> None:
    seen: list[Any] = []

    def probe(value: Any) -> None:
        seen.append(value)

    probe.__annotations__["value"] = hint
    parameters = tool(probe).spec.parameters
    assert parameters is not None
    assert parameters["properties"]["value"] == schema
    assert call(probe, {"value": given}) == ToolOutcome("null")
    assert seen == [loaded]
    assert type(seen[0]) is type(loaded)


@pytest.mark.parametrize(
    ("hint", "given", "complaint"),
    [
        (str, ["a"], 'value must be string, not ["a"]'),
        (str, True, "value must be string, not true"),
        (int, 1.5, "value must be integer, not 1.5"),
        (int, True, "value must be integer, not true"),
        (int, "many", 'value must be integer, not "many"'),
        (float, "nan", 'value must be number, not "nan"'),
        (float, 10**400, "value must be number"),
        (bool, 1, "value must be boolean, not 1"),
        (None, 0, "value must be null, not 0"),
        (list[int], "1", 'value must be array of integer, not "1"'),
        (list[int], [1, "x"], 'value[1] must be integer, not "x"'),
        (set[list[int]], [[1]], "value must be array"),
        (tuple[int, int], [1], "value must be an array of 2 values"),
        (dict[str, int], {"a": "x"}, 'value.a must be integer, not "x"'),
        (Literal["a", "b"], "c", 'value must be one of "a", "b", not "c"'),
        (int | None, "x", 'value must be integer or null, not "x"'),
        (date, "yesterday", 'value must be string (date), not "yesterday"'),
        (Point, {"x": 1, "z": 2}, "value.z is not known (known: x, y, label); value.y is missing (number)"),
        (Point, {"x": -1, "y": 2}, "value: x must not be negative"),
        (Order, {"count": "x"}, 'value.item is missing (string); value.count must be integer, not "x"'),
        (str, list(range(999)), "..."),
    ],
)
def test_a_value_that_does_not_fit_is_named_to_the_model(hint: Any, given: Any, complaint: str) -> None:
    def probe(value: Any) -> None:
        raise AssertionError("called with a value that does not fit")

    probe.__annotations__["value"] = hint
    outcome = call(probe, {"value": given})
    assert outcome.is_error
    assert complaint in outcome.text
    assert "probe" in outcome.text


def test_objects_become_what_the_hint_says() -> None:
    def probe(where: Point, orders: list[Order]) -> str:
        return f"{where} {orders}"

    arguments = {"where": {"x": 1, "y": 2}, "orders": [{"item": "tea"}]}
    assert call(probe, arguments).text == "Point(x=1.0, y=2.0, label='here') [{'item': 'tea'}]"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ('{"city": "Seoul"', "not valid JSON"),
        ("Seoul", "not valid JSON"),
        ('["Seoul"]', "not a JSON object. Send one JSON object with: city, unit, days."),
        ('{"city": NaN}', "NaN is not a JSON number"),
        ('{"town": "Seoul"}', "town is not known (known: city, unit, days); city is missing (string)"),
        ('{"city": "Seoul", "day": 2}', "day is not known (did you mean days?)"),
        ("[" * 100_000, "nested too deeply"),
        ('{"days": ' + "1" * 5000 + "}", "not valid JSON"),
        ("", "city is missing"),
    ],
)
def test_arguments_the_model_got_wrong_are_answered_not_raised(arguments: str, complaint: str) -> None:
    outcome = call(weather, arguments)
    assert outcome.is_error
    assert complaint in outcome.text
    assert len(outcome.text) < 400


def test_a_function_without_parameters_takes_an_empty_body() -> None:
    def now() -> str:
        return "noon"

    assert tool(now).spec.parameters is None
    assert [call(now, a).text for a in ("", "{}", "  ")] == ["noon"] * 3
    assert call(now, '{"zone": 1}').is_error


def test_a_default_of_none_also_takes_null() -> None:
    def find(near: str = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
        return str(near)

    parameters = tool(find).spec.parameters
    assert parameters is not None
    assert parameters["properties"]["near"] == {"type": ["string", "null"]}
    assert call(find, {"near": None}).text == call(find, {}).text == "None"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        ({"ä": (1, 2.5)}, '{"ä": [1, 2.5]}'),
        (Point(1, 2), '{"x": 1, "y": 2, "label": "here"}'),
        ([Unit.CELSIUS, date(2026, 1, 2), {1}], '["C", "2026-01-02", [1]]'),
        (3 + 4j, '"(3+4j)"'),
        ("\ud800", "\ufffd"),
        (ToolOutcome("own", is_error=True), "own"),
    ],
)
def test_results_become_text(result: Any, text: str) -> None:
    outcome = call(lambda_named(lambda: result), {})
    assert outcome.text == text
    assert outcome.is_error == isinstance(result, ToolOutcome)


def lambda_named(function: Any) -> Any:
    function.__name__ = "probe"
    return function


def test_a_long_result_is_cut_in_the_middle_and_says_so() -> None:
    outcome = call(lambda_named(lambda: "a" * 30_000 + "b" * 30_000), {})
    assert outcome.text.startswith("a" * 24_000)
    assert outcome.text.endswith("b" * 8_000)
    assert f"[… {60_000 - MAX_RESULT_CHARS} characters left out …]" in outcome.text
    short = tool(lambda_named(lambda: "abcdefgh"), max_result_chars=4)
    assert asyncio.run(short.call("")).text == "abc\n[… 4 characters left out …]\nh"


class LoudError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (LoudError(), "LoudError"),
        (SystemExit(3), "SystemExit: 3"),
        (StopIteration("x"), "StopIteration: x"),
        (RecursionError("deep"), "RecursionError: deep"),
    ],
)
@pytest.mark.parametrize("is_async", [False, True])
def test_an_exception_in_the_tool_is_an_error_outcome(
    error: BaseException, text: str, is_async: bool
) -> None:
    def fail() -> None:
        raise error

    async def fail_async() -> None:
        raise error

    if isinstance(error, StopIteration):
        text = "RuntimeError: coroutine raised StopIteration"  # Python's own rule (PEP 479)
    assert call(fail_async if is_async else fail, {}) == ToolOutcome(text, is_error=True)


def test_a_tool_that_cancels_itself_is_an_error_but_our_cancellation_passes() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    async def wait() -> None:
        await asyncio.Event().wait()

    async def cancel_from_outside() -> None:
        task = asyncio.create_task(tool(wait).call(""))
        await asyncio.sleep(0)
        task.cancel()
        await task

    assert call(give_up, {}) == ToolOutcome("give_up was cancelled", is_error=True)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel_from_outside())


def test_a_synchronous_function_does_not_block_the_loop() -> None:
    release = threading.Event()

    def wait() -> str:
        assert release.wait(30)
        return threading.current_thread().name

    async def both() -> str:
        running = asyncio.create_task(tool(wait).call(""))
        await asyncio.sleep(0)
        release.set()  # reached only because the loop is free
        return (await running).text

    assert asyncio.run(both()) == "ossia-tool"


def test_a_hanging_tool_can_be_abandoned() -> None:
    release = threading.Event()

    def wait() -> None:
        release.wait(30)

    async def abandon() -> None:
        async with asyncio.timeout(0.01):
            await tool(wait).call("")

    with pytest.raises(TimeoutError):
        asyncio.run(abandon())
    release.set()


def test_context_variables_reach_the_function() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    def ask() -> str:
        return who.get()

    async def run() -> list[str]:
        who.set("me")
        return [(await tool(f).call("")).text for f in (ask, ask_async)]

    async def ask_async() -> str:
        return who.get()

    assert asyncio.run(run()) == ["me", "me"]


def test_what_returns_an_awaitable_is_awaited() -> None:
    async def later(x: int) -> int:
        return x + 1

    assert call(lambda_named(lambda: later(1)), {}).text == "2"


class Shop:
    def price(self, item: str) -> str:
        """Price of an item."""
        return f"{item}: 3"

    def __call__(self, item: str) -> str:
        return item


def test_methods_partials_and_callable_objects_are_functions_too() -> None:
    assert call(Shop().price, {"item": "tea"}).text == "tea: 3"
    assert tool(Shop().price).spec.description == "Price of an item."
    assert call(Shop(), {"item": "tea"}).text == "tea"
    partial = tool(functools.partial(weather, unit=Unit.FAHRENHEIT), name="weather_f")
    assert asyncio.run(partial.call('{"city": "Seoul"}')).text == "Seoul FAHRENHEIT 1"


def test_as_a_decorator_it_leaves_a_function() -> None:
    @tool
    def double(x: int) -> int:
        """Twice x."""
        return 2 * x

    @tool(name="triple-it", description="Thrice x.")
    def triple(x: int) -> int:
        return 3 * x

    assert (double(4), triple(4)) == (8, 12)
    assert (triple.spec.name, triple.spec.description) == ("triple-it", "Thrice x.")
    assert tool(double) is double
    assert double.__doc__ == "Twice x."


def _generator() -> Any:
    yield 1


async def _async_generator() -> Any:
    yield 1


def _args(*values: int) -> None: ...
def _kwargs(**values: int) -> None: ...
def _positional(value: int, /) -> None: ...
def _unhinted(value) -> None: ...  # type: ignore[no-untyped-def]
def _bytes(value: bytes) -> None: ...
def _keys(value: dict[int, str]) -> None: ...
def _recursive(value: Tree) -> None: ...
def _variable(value: T) -> None: ...
def _unresolved(value: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def _set_literal(value: Literal[b"x"]) -> None: ...  # fmt: skip


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (_generator, "yields"),
        (_async_generator, "yields"),
        (_args, "variadic positional"),
        (_kwargs, "variadic keyword"),
        (_positional, "positional-only"),
        (_unhinted, "no type hint"),
        (_bytes, "bytes"),
        (_keys, "int"),
        (_recursive, "Tree, which contains itself"),
        (_variable, "~T"),
        (_unresolved, "Nowhere"),
        (_set_literal, "choice"),
        (lambda: None, "<lambda>"),
        (sys.intern, "positional-only"),
    ],
)
def test_what_cannot_be_described_is_refused_with_a_remedy(function: Any, named: str) -> None:
    with pytest.raises(ToolDefinitionError, match=named) as caught:
        tool(function)
    assert caught.value.remedy
    assert caught.value.limit


@pytest.mark.parametrize("name", ["a b", "", "x" * 65, "naïve", "a.b", "a<|end|>"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises(ToolDefinitionError):
        tool(weather, name=name or "\x00")
