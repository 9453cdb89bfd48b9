"""What a model is told about itself, and how a conversation with it opens.

Identity, date, effort and tools stand at the very beginning, so changing any of them changes the prefix: the
next answer computes the whole conversation anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from ossia.harmony.messages import (
    IDENTITY,
    KNOWLEDGE_CUTOFF,
    DeveloperContent,
    Effort,
    Message,
    SystemContent,
    ToolNamespace,
)
from ossia.tools.base import Tool


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known about a model besides its weights.

    `identity` and `knowledge_cutoff` are the first lines of its system message. `english_only`: front ends
    say so when asked in another language. `temperature` is what its makers recommend, used where nobody asks
    for another.
    """

    name: str
    identity: str | None = IDENTITY
    knowledge_cutoff: str | None = KNOWLEDGE_CUTOFF
    context_length: int | None = None
    english_only: bool = False
    description: str = ""
    temperature: float = 1.0


def opening(
    card: ModelCard,
    *,
    effort: Effort = "medium",
    today: date | None = None,
    system: str | None = None,
    tools: Sequence[Tool] = (),
) -> tuple[Message, ...]:
    """The messages a conversation begins with: system, and developer where there is something to say in it.

    `system` is the application's text; in Harmony it goes into the developer message, as functions do. Tools
    of other namespaces (browser, python) are declared in the system message, and so is `today`, if given.
    """
    namespaces = _namespaces(tools)
    functions = tuple(ns for ns in namespaces if ns.name == "functions")
    own = SystemContent(
        identity=card.identity,
        knowledge_cutoff=card.knowledge_cutoff,
        current_date=today,
        effort=effort,
        tools=tuple(ns for ns in namespaces if ns.name != "functions"),
    )
    messages = [Message("system", own)]
    if system or functions:
        messages.append(Message("developer", DeveloperContent(system or None, functions)))
    return tuple(messages)


def _namespaces(tools: Sequence[Tool]) -> list[ToolNamespace]:
    names = dict.fromkeys(tool.namespace for tool in tools)
    return [
        ToolNamespace(name, tools=tuple(tool.spec for tool in tools if tool.namespace == name))
        for name in names
    ]
