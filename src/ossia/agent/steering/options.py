"""What a caller asks of an answer, in the short forms of the Python interface, checked and spelled out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypedDict, cast

from ossia.agent.card import ModelCard
from ossia.agent.limits import Limits
from ossia.agent.steering.control import Control
from ossia.errors import InputError
from ossia.harmony.grammar import AllowedTools, JsonSchema, ResponseFormat, ToolChoice
from ossia.harmony.incremental import Rendering
from ossia.model.sampling import SamplingParams
from ossia.tools.base import Tool, full_name
from ossia.tools.functions import tool

AnyTool = Tool | Callable[..., Any]
AnyToolChoice = str | AllowedTools
AnyFormat = ResponseFormat | Mapping[str, Any]

_NOT_OF_A_CHAT = {"max_tokens", "stop_ids", "boundary_ids", "mask", "progress"}  # set elsewhere
_CHOICES = ("none", "auto", "required")


class AnswerOptions(TypedDict, total=False):
    """The options of `loop.run` that do not depend on the model; see there."""

    tools: Sequence[Tool]
    sampling: SamplingParams | None
    limits: Limits
    stop: Sequence[str]
    tool_choice: ToolChoice
    response_format: ResponseFormat | None
    max_calls: int | None
    control: Control | None
    rendering: Rendering | None


def as_tool(given: AnyTool) -> Tool:
    """A Tool, made of a plain function where one was given; raises ToolDefinitionError."""
    if hasattr(given, "spec") and hasattr(given, "call"):
        return cast(Tool, given)
    return tool(cast(Callable[..., Any], given))


def as_tool_choice(choice: AnyToolChoice, tools: Sequence[Tool]) -> ToolChoice:
    """``none``, ``auto``, ``required``, or a tool's name, with its namespace or without: that one is called.

    Raises InputError for a name that none of `tools` has.
    """
    if isinstance(choice, AllowedTools) or choice in _CHOICES:
        return choice
    named = [full_name(t) for t in tools if choice in (t.spec.name, full_name(t))]
    if len(named) == 1:
        return AllowedTools((named[0],), required=True)
    raise InputError(
        f"tool_choice names {choice!r}, and there is no one tool of that name",
        value=choice,
        limit=(*_CHOICES, *map(full_name, tools)),
        remedy="Give none, auto, required, or the name of a tool the model has.",
    )


def as_format(wanted: AnyFormat | None) -> ResponseFormat | None:
    """A response format; a mapping is taken as a JSON Schema."""
    return JsonSchema(dict(wanted)) if isinstance(wanted, Mapping) else wanted


def sampling_of(options: dict[str, Any], card: ModelCard) -> SamplingParams:
    """`options` as SamplingParams, the temperature the card's where none is given; raises InputError."""
    known = {f.name for f in fields(SamplingParams)} - _NOT_OF_A_CHAT
    if unknown := sorted(options.keys() - known):
        raise InputError(
            f"unknown option {unknown[0]!r}",
            value=unknown[0],
            limit=sorted(known),
            remedy=f"Sampling options are: {', '.join(sorted(known))}.",
        )
    options.setdefault("temperature", card.temperature)
    return SamplingParams(**options)


def encodable(text: str, what: str) -> str:
    """Return `text`; raises InputError for half a surrogate pair, which no encoding can carry."""
    try:
        text.encode()
    except UnicodeEncodeError as cause:
        raise InputError(
            f"{what} is not valid Unicode at character {cause.start + 1}",
            value=text[cause.start : cause.end],
            limit="text without lone surrogates",
            remedy="Decode it as UTF-8 first.",
        ) from cause
    return text
