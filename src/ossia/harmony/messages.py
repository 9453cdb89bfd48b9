"""Harmony's messages as frozen values: what is said, by whom, in which channel, to whom.

Names follow openai-harmony. A `Conversation` is what the agent renders and what a parser gives back.
"""

from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Literal, get_args

Role = Literal["system", "developer", "user", "assistant", "tool"]
Channel = Literal["analysis", "commentary", "final"]
Effort = Literal["low", "medium", "high"]

CHANNELS: tuple[Channel, ...] = ("analysis", "commentary", "final")
EFFORTS: tuple[Effort, ...] = ("low", "medium", "high")

_NO_TOOLS = (None, "all", *get_args(Role))

IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
KNOWLEDGE_CUTOFF = "2024-06"


@dataclass(frozen=True, slots=True)
class TextInput:
    """A tool that takes plain text, not JSON: any text, or what `regex` or a `lark` grammar describes.

    `regex` is in Rust's syntax and matches the whole input; at most one of the two is given.
    """

    regex: str | None = None
    lark: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One function as the model sees it; `parameters` is a JSON Schema object, or None for no arguments.

    `strict`: refuse a schema that cannot be enforced while sampling. `text_input`: the call's body is text
    instead of JSON, and `parameters` plays no part.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool = False
    text_input: TextInput | None = None


@dataclass(frozen=True, slots=True)
class ToolNamespace:
    """A named group of tools (`functions`, `browser`, `python`); without tools it is described in prose."""

    name: str
    description: str = ""
    tools: tuple[ToolSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemContent:
    """The server's own message: identity, effort, date, built-in tools, channels."""

    identity: str | None = IDENTITY
    knowledge_cutoff: str | None = KNOWLEDGE_CUTOFF
    current_date: date | None = None
    effort: Effort | None = "medium"
    channels: tuple[str, ...] = CHANNELS
    tools: tuple[ToolNamespace, ...] = ()


@dataclass(frozen=True, slots=True)
class DeveloperContent:
    """The application's message: instructions and function tools."""

    instructions: str | None = None
    tools: tuple[ToolNamespace, ...] = ()


Content = str | SystemContent | DeveloperContent


@dataclass(frozen=True, slots=True)
class Sampled:
    """The ids a message was read from, in one vocabulary: ``<|start|>`` to ``<|message|>``, body, end.

    Good only for a message whose fields are still `fields`.
    """

    header_ids: tuple[int, ...]
    body_ids: tuple[int, ...]
    end_ids: tuple[int, ...]
    vocabulary: str
    fields: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One Harmony message.

    `name`: a tool's full name ("functions.get_weather"), or an optional name of another author.
    `recipient`: whom it is for; None means everybody ("all"). An assistant message with one is a call.
    `content_type`: what follows the channel in the header, e.g. "<|constrain|>json".
    `recipient_in`: where the header names the recipient. Canonical is after the author; models also put it
    after the channel, and a message must render again as it was sampled.
    `sampled`: the ids it was read from; no part of what it says, so two messages are equal without it.
    """

    role: Role
    content: Content
    name: str | None = None
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    recipient_in: Literal["author", "channel"] = "author"
    sampled: Sampled | None = field(default=None, compare=False, repr=False)

    @property
    def text(self) -> str:
        """The body as text; "" for structured system and developer messages."""
        return self.content if isinstance(self.content, str) else ""

    @property
    def is_call(self) -> bool:
        """True when the recipient makes it a call, whatever the channel: a role is no tool."""
        return self.role == "assistant" and self.recipient not in _NO_TOOLS

    @property
    def is_final(self) -> bool:
        """True for an answer, which ends its turn; a call in the final channel is still a call."""
        return self.role == "assistant" and self.channel == "final" and not self.is_call

    @property
    def fields(self) -> tuple[object, ...]:
        """Everything the message says."""
        return (
            self.role,
            self.content,
            self.name,
            self.channel,
            self.recipient,
            self.content_type,
            self.recipient_in,
        )

    def with_ids(
        self,
        header_ids: tuple[int, ...],
        body_ids: tuple[int, ...],
        end_ids: tuple[int, ...],
        vocabulary: str,
    ) -> "Message":
        """The same message, remembering the ids it was read from."""
        return replace(self, sampled=Sampled(header_ids, body_ids, end_ids, vocabulary, self.fields))

    def sampled_in(self, vocabulary: str) -> Sampled | None:
        """The ids it was read from; None in another vocabulary, or where the message was changed since."""
        sampled = self.sampled
        if sampled is None or sampled.vocabulary != vocabulary or sampled.fields != self.fields:
            return None
        return sampled


@dataclass(frozen=True, slots=True)
class Conversation:
    """An immutable sequence of messages; `append` returns a new one."""

    messages: tuple[Message, ...] = field(default=())

    def append(self, *messages: Message) -> "Conversation":
        return Conversation((*self.messages, *messages))


def user(text: str) -> Message:
    return Message("user", text)


def tool_result(name: str, text: str, channel: str | None = "commentary") -> Message:
    """A tool's answer to the assistant; `name` is the full name that was called ("functions.x")."""
    return Message("tool", text, name=name, channel=channel, recipient="assistant")
