"""What a tool is to the agent: a description the model reads, and a call that always answers with text."""

import re
from dataclasses import dataclass
from typing import Protocol

from ossia.errors import ToolDefinitionError
from ossia.harmony.messages import ToolSpec

MAX_RESULT_CHARS = 32_000
"""A longer result is cut in the middle. About 8,000 tokens: room enough in every context but the smallest."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What the model gets to read. `is_error` marks what it should act on (wrong arguments, a failure)."""

    text: str
    is_error: bool = False


class Tool(Protocol):
    """One callable tool; the model knows it as ``{namespace}.{spec.name}``."""

    @property
    def spec(self) -> ToolSpec: ...

    @property
    def namespace(self) -> str: ...

    async def call(self, arguments: str) -> ToolOutcome:
        """Run with `arguments` as the model wrote them. Raises nothing: a slip or failure is an outcome."""
        ...


def full_name(tool: Tool) -> str:
    """The recipient by which the model calls `tool`, e.g. "functions.calculator"."""
    return f"{tool.namespace}.{tool.spec.name}"


def check_tool_name(name: str) -> str:
    """Return `name`; raises ToolDefinitionError unless it is 1 to 64 letters, digits, `_` and `-`."""
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} cannot be the name of a tool",
            value=name,
            limit="1 to 64 of a-z, A-Z, 0-9, _ and -",
            remedy='Give another one: tool(function, name="…").',
        )
    return name


def bound_text(text: str, max_chars: int = MAX_RESULT_CHARS) -> str:
    """Return `text`; if it is too long, a marker that counts the characters left out replaces its middle.

    Lone surrogates, which no tokenizer can encode, become U+FFFD.
    """
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if len(text) <= max_chars:
        return text
    head, tail = max_chars - max_chars // 4, max_chars // 4
    return f"{text[:head]}\n[… {len(text) - head - tail} characters left out …]\n{text[len(text) - tail :]}"
