"""Who speaks and what a message may hold, as pydantic models with openai-harmony's names and builders.

Builders change the object and return it, as there. What is None is written to JSON when None is not the
default, so that it comes back as None.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from enum import Enum
from typing import Any, Self

from pydantic import BaseModel, Field

from ossia.harmony.compat.builtin import BROWSER, PYTHON
from ossia.harmony.messages import CHANNELS, IDENTITY, KNOWLEDGE_CUTOFF


class Role(str, Enum):  # noqa: UP042 (str() and format() as there)
    """Who wrote a message. Raises ValueError for an unknown role."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    DEVELOPER = "developer"
    TOOL = "tool"

    @classmethod
    def _missing_(cls, value: object) -> "Role":
        raise ValueError(f"Unknown role: {value!r}")


class Author(BaseModel):
    """A role and, for tools, the tool's full name."""

    role: Role
    name: str | None = None

    @classmethod
    def new(cls, role: Role, name: str) -> "Author":
        return cls(role=role, name=name)


class Content(BaseModel, ABC):
    """One part of a message's body."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with a "type"."""


class TextContent(Content):
    """Plain text; it never becomes a control token, whatever it says."""

    text: str

    def to_dict(self) -> dict[str, Any]:
        return {"type": "text", "text": self.text}


class ToolDescription(BaseModel):
    """One function; `parameters` is a JSON Schema object, or None for no arguments."""

    name: str
    description: str
    parameters: dict[str, Any] | None = None

    @classmethod
    def new(cls, name: str, description: str, parameters: dict[str, Any] | None = None) -> "ToolDescription":
        return cls(name=name, description=description, parameters=parameters)


class ReasoningEffort(str, Enum):  # noqa: UP042
    """How much the model should think."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"


class ChannelConfig(BaseModel):
    """Which channels the system message names, and whether it demands one for every message."""

    valid_channels: list[str]
    channel_required: bool

    @classmethod
    def require_channels(cls, channels: list[str]) -> "ChannelConfig":
        return cls(valid_channels=channels, channel_required=True)


class ToolNamespaceConfig(BaseModel):
    """A named group of tools; without tools it is described in prose."""

    name: str
    description: str | None = None
    tools: list[ToolDescription]

    @staticmethod
    def browser() -> "ToolNamespaceConfig":
        """The built-in browser: search, open and find."""
        return ToolNamespaceConfig.model_validate(deepcopy(BROWSER))

    @staticmethod
    def python() -> "ToolNamespaceConfig":
        """The built-in Python tool, which takes plain code."""
        return ToolNamespaceConfig.model_validate(PYTHON)


Tools = dict[str, ToolNamespaceConfig] | None


class _Structured(Content):
    """What system and developer contents share: their way from and to JSON."""

    @classmethod
    def new(cls) -> Self:
        return cls()

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Self:
        return cls(**raw)

    def _without_needless_nones(self) -> dict[str, Any]:
        dumped = self.model_dump(exclude_none=True)
        fields = type(self).model_fields
        told = {name: None for name in fields if name not in dumped and _default(fields[name]) is not None}
        return dumped | told


def _default(field: Any) -> object:
    return field.get_default(call_default_factory=True)


class SystemContent(_Structured):
    """The server's own message: identity, effort, dates, built-in tools, channels."""

    model_identity: str | None = IDENTITY
    reasoning_effort: ReasoningEffort | None = ReasoningEffort.MEDIUM
    conversation_start_date: str | None = None
    knowledge_cutoff: str | None = KNOWLEDGE_CUTOFF
    channel_config: ChannelConfig | None = Field(
        default_factory=lambda: ChannelConfig.require_channels(list(CHANNELS))
    )
    tools: Tools = None

    def with_model_identity(self, model_identity: str) -> "SystemContent":
        self.model_identity = model_identity
        return self

    def with_reasoning_effort(self, reasoning_effort: ReasoningEffort) -> "SystemContent":
        self.reasoning_effort = reasoning_effort
        return self

    def with_conversation_start_date(self, conversation_start_date: str) -> "SystemContent":
        self.conversation_start_date = conversation_start_date
        return self

    def with_knowledge_cutoff(self, knowledge_cutoff: str) -> "SystemContent":
        self.knowledge_cutoff = knowledge_cutoff
        return self

    def with_channel_config(self, channel_config: ChannelConfig) -> "SystemContent":
        self.channel_config = channel_config
        return self

    def with_required_channels(self, channels: list[str]) -> "SystemContent":
        return self.with_channel_config(ChannelConfig.require_channels(channels))

    def with_tools(self, ns_config: ToolNamespaceConfig) -> "SystemContent":
        self.tools = {**(self.tools or {}), ns_config.name: ns_config}
        return self

    def with_browser_tool(self) -> "SystemContent":
        return self.with_tools(ToolNamespaceConfig.browser())

    def with_python_tool(self) -> "SystemContent":
        return self.with_tools(ToolNamespaceConfig.python())

    def to_dict(self) -> dict[str, Any]:
        return {**self._without_needless_nones(), "type": "system_content"}


class DeveloperContent(_Structured):
    """The application's message: instructions and function tools."""

    instructions: str | None = None
    tools: Tools = None

    def with_instructions(self, instructions: str) -> "DeveloperContent":
        self.instructions = instructions
        return self

    def with_tools(self, ns_config: ToolNamespaceConfig) -> "DeveloperContent":
        self.tools = {**(self.tools or {}), ns_config.name: ns_config}
        return self

    def with_function_tools(self, tools: Sequence[ToolDescription]) -> "DeveloperContent":
        """Declare `tools` as the namespace ``functions``, which they replace."""
        return self.with_tools(ToolNamespaceConfig(name="functions", description=None, tools=list(tools)))

    def to_dict(self) -> dict[str, Any]:
        return {**self._without_needless_nones(), "type": "developer_content"}
