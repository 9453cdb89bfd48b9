"""What a turn may do, as values: which tools may be called, which must, and what the final has to be.

Knows nothing of tokens or masks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ossia.harmony.messages import CHANNELS, ToolNamespace, ToolSpec


@dataclass(frozen=True, slots=True)
class AllowedTools:
    """Only these tools may be called; `required`: one of them must be.

    `names`: recipients ("functions.get_weather") or whole namespaces ("browser").
    """

    names: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True, slots=True)
class JsonObject:
    """The final is a JSON object, any."""


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The final is JSON that `schema` describes; `strict` refuses a schema that cannot be enforced."""

    schema: dict[str, Any]
    name: str = ""
    strict: bool = False


ToolChoice = Literal["none", "auto", "required"] | AllowedTools
ResponseFormat = JsonObject | JsonSchema


@dataclass(frozen=True, slots=True)
class Callee:
    """One recipient of calls. Without a `tool` it is a namespace described in prose: its name, or the name
    and anything after a dot, takes free text."""

    recipient: str
    tool: ToolSpec | None


@dataclass(frozen=True, slots=True)
class FrameRules:
    """All that decides which tokens a turn may have; `max_calls` is how many calls it may still make.

    `channels`: without "analysis" no reasoning, without "commentary" no preambles. Calls to the `functions`,
    the namespaces an application declares, are in commentary all the same, and in no other channel; and a
    final is possible wherever no call is required.
    """

    namespaces: tuple[ToolNamespace, ...] = ()
    tool_choice: ToolChoice = "auto"
    response_format: ResponseFormat | None = None
    max_calls: int | None = None
    channels: tuple[str, ...] = CHANNELS
    functions: tuple[str, ...] = ("functions",)

    @property
    def declared(self) -> tuple[Callee, ...]:
        """Every recipient the namespaces declare, once each."""
        callees = {callee.recipient: callee for ns in self.namespaces for callee in _callees(ns)}
        return tuple(callees.values())

    @property
    def callees(self) -> tuple[Callee, ...]:
        """The recipients that may be called now."""
        if self.tool_choice == "none" or (self.max_calls is not None and self.max_calls <= 0):
            return ()
        if isinstance(self.tool_choice, AllowedTools):
            names = self.tool_choice.names
            return tuple(callee for callee in self.declared if is_named(callee, names))
        return self.declared

    @property
    def must_call(self) -> bool:
        """The turn ends in a call, not in a final."""
        choice = self.tool_choice
        required = choice.required if isinstance(choice, AllowedTools) else choice == "required"
        return required and bool(self.callees)


def _callees(namespace: ToolNamespace) -> Iterable[Callee]:
    if not namespace.tools:
        return (Callee(namespace.name, None),)
    return (Callee(f"{namespace.name}.{tool.name}", tool) for tool in namespace.tools)


def is_named(callee: Callee, names: Iterable[str]) -> bool:
    """Is it one of `names`, or a member of one?"""
    return any(callee.recipient == name or callee.recipient.startswith(f"{name}.") for name in names)
