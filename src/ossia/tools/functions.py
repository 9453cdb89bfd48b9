"""Any Python function with type hints and a docstring as a tool.

    @tool
    def get_weather(city: str, unit: Literal["C", "F"] = "C") -> str:
        "Current weather in a city."

The schema comes from the hints, descriptions from the docstring. A synchronous function runs in a thread
of its own, so that it holds up neither the event loop nor other requests; context variables go with it.
"""

import asyncio
import contextvars
import dataclasses
import inspect
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date, time
from enum import Enum
from typing import Any, cast, get_type_hints, overload

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import ToolSpec
from ossia.tools.base import MAX_RESULT_CHARS, ToolOutcome, bound_text, check_tool_name
from ossia.tools.docstrings import parse_docstring
from ossia.tools.hints import described, shape_of, with_default
from ossia.tools.shapes import SCALARS, ArgumentSlip, ObjectField, Shape, object_shape, union_shape


class FunctionTool:
    """A Python function the model can call; still callable as the function it was."""

    namespace = "functions"

    def __init__(
        self, function: Callable[..., Any], spec: ToolSpec, arguments: Shape, max_result_chars: int
    ) -> None:
        self.spec = spec
        self._function = function
        self._arguments = arguments
        self._max_result_chars = max_result_chars
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    async def call(self, arguments: str) -> ToolOutcome:
        """Run the function with JSON `arguments`.

        Anything wrong with them, and any exception of the function, becomes an error outcome that names it.
        A synchronous function cannot be interrupted: when the call is cancelled, its thread runs to its
        end and the result is thrown away.
        """
        try:
            keywords = self._parse(arguments)
        except ArgumentSlip as cause:
            return ToolOutcome(bound_text(f"Invalid arguments for {self.spec.name}: {cause}"), is_error=True)
        try:
            result = await self._run(keywords)
            outcome = result if isinstance(result, ToolOutcome) else ToolOutcome(to_text(result))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            outcome = ToolOutcome(f"{self.spec.name} was cancelled", is_error=True)
        except (Exception, SystemExit) as cause:
            text = f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
            outcome = ToolOutcome(text, is_error=True)
        return dataclasses.replace(outcome, text=bound_text(outcome.text, self._max_result_chars))

    def _parse(self, arguments: str) -> dict[str, Any]:
        try:
            value: Any = json.loads(arguments.strip() or "{}", parse_constant=_reject_constant)
        except RecursionError:
            raise ArgumentSlip("the JSON is nested too deeply") from None
        except ValueError as cause:
            raise ArgumentSlip(f"not valid JSON ({cause}). {self._expected()}") from None
        if not isinstance(value, dict):
            raise ArgumentSlip(f"not a JSON object. {self._expected()}")
        return self._arguments.load(cast(dict[str, Any], value), "", False)

    def _expected(self) -> str:
        properties = self._arguments.schema["properties"]
        return f"Send one JSON object with: {', '.join(properties)}." if properties else "Send {}."

    async def _run(self, keywords: dict[str, Any]) -> Any:
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**keywords)
        result = await _in_thread(lambda: self._function(**keywords))
        return await result if inspect.isawaitable(result) else result


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    max_result_chars: int = MAX_RESULT_CHARS,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...
@overload
def tool(
    function: Callable[..., Any],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    max_result_chars: int = MAX_RESULT_CHARS,
) -> FunctionTool: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    max_result_chars: int = MAX_RESULT_CHARS,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Make a tool of `function`, also as a decorator, with or without arguments.

    Its parameters need hints JSON can carry (see `hints.KNOWN_HINTS`); a default makes one optional. A string
    result is handed over as it is, a `ToolOutcome` too, anything else as JSON; longer than
    `max_result_chars`, its middle is cut. Raises ToolDefinitionError for what cannot be described.
    """
    if function is None:

        def decorate(decorated: Callable[..., Any]) -> FunctionTool:
            return tool(decorated, name=name, description=description, max_result_chars=max_result_chars)

        return decorate
    if isinstance(function, FunctionTool):
        return function
    name = check_tool_name(name or getattr(function, "__name__", type(function).__name__))
    doc = parse_docstring(inspect.getdoc(function))
    arguments = _arguments(function, name, doc.parameters)
    parameters = arguments.schema if arguments.schema["properties"] else None
    spec = ToolSpec(name, description if description is not None else doc.description, parameters)
    return FunctionTool(function, spec, arguments, max_result_chars)


def to_text(result: object) -> str:
    """A tool's result as the model reads it: text as it is, everything else as JSON."""
    if isinstance(result, str):
        return result
    return json.dumps(result, ensure_ascii=False, default=_jsonable)


def _jsonable(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return list(cast(set[Any], value))
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _arguments(function: Callable[..., Any], name: str, texts: dict[str, str]) -> Shape:
    """The shape of all of a function's parameters together."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _undefinable(name, "it yields", "a function that returns its result", "Return a list instead.")
    try:
        hints = get_type_hints(_hinted(function), include_extras=True)
        parameters = inspect.signature(function).parameters.values()
    except (NameError, TypeError, ValueError) as cause:
        remedy = "Import or define the types of its hints at module level."
        raise _undefinable(name, str(cause), "hints that can be resolved", remedy) from cause
    return object_shape([_field(p, hints, name, texts.get(p.name, "")) for p in parameters], dict)


def _hinted(function: Callable[..., Any]) -> Any:
    """Where the hints of a callable are written: behind partials, in the __call__ of an object."""
    inner = getattr(function, "func", None)
    if inner is not None and hasattr(function, "keywords"):
        return _hinted(inner)
    return function if inspect.isroutine(function) else type(function).__call__


def _field(p: inspect.Parameter, hints: dict[str, Any], name: str, text: str) -> ObjectField:
    where = f"parameter {p.name!r} of tool {name!r}"
    if p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
        kind = p.kind.description
        raise _undefinable(
            name, f"{where} is {kind}", "named parameters", "Give each value a name of its own."
        )
    if p.name not in hints:
        remedy = f"Write {p.name}: str, or whatever it is."
        raise _undefinable(name, f"{where} has no type hint", "a hint for every parameter", remedy)
    shape = shape_of(hints[p.name], where)
    required = p.default is p.empty
    if p.default is None:
        shape = _or_null(shape)
    shape = described(shape if required else with_default(shape, p.default), text)
    return ObjectField(p.name, shape, required)


def _or_null(shape: Shape) -> Shape:
    """`shape` that also takes null: a default of None says so even where the hint forgets to."""
    try:
        shape.load(None, "", True)
    except ArgumentSlip:
        schema = dict(shape.schema)
        text = schema.pop("description", "")
        return described(union_shape([Shape(schema, shape.load), SCALARS[None]]), text)
    return shape


def _undefinable(name: str, problem: str, limit: str, remedy: str) -> ToolDefinitionError:
    return ToolDefinitionError(
        f"{name!r} cannot be a tool: {problem}", value=name, limit=limit, remedy=remedy
    )


def _reject_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


async def _in_thread(function: Callable[[], Any]) -> Any:
    """Run in a daemon thread: unlike in a pool, a tool that hangs there blocks no other tool and no exit."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def finish(result: Any, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((result, error))

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function)
        except BaseException as cause:
            error = cause
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(finish, result, error)

    threading.Thread(target=work, name="ossia-tool", daemon=True).start()
    result, error = await done
    if error is not None:
        raise error
    return result
