"""openai-harmony's Message and Conversation: mutable pydantic models with builders and JSON.

Unlike there, pydantic's own serialisation (`model_dump`, `model_validate`) keeps what a message says.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, Field, PrivateAttr, SerializeAsAny

from ossia.harmony import messages as ossia
from ossia.harmony.compat.content import (
    Author,
    Content,
    DeveloperContent,
    Role,
    SystemContent,
    TextContent,
)

_KINDS: tuple[tuple[str, str, type[Content]], ...] = (
    ("text", "text", TextContent),
    ("system_content", "model_identity", SystemContent),
    ("developer_content", "instructions", DeveloperContent),
)


def _content(raw: Any) -> Any:
    """Read one part from plain values, by its "type" or else by the field that only this kind has."""
    if not isinstance(raw, dict):
        return raw
    values = cast(dict[str, Any], raw)
    for kind, field, model in _KINDS:
        if values.get("type") == kind or ("type" not in values and field in values):
            return model(**values)
    raise ValueError(f"Unknown content variant: {values}")


class Message(BaseModel):
    """One message. `content_type` is what follows the channel in the header ("<|constrain|>json")."""

    author: Author
    content: list[Annotated[SerializeAsAny[Content], BeforeValidator(_content)]] = Field(
        default_factory=list[Content]
    )
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    # What it was read from, with its ids. It is no part of what the message says.
    _read: ossia.Message | None = PrivateAttr(default=None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self.__dict__ == other.__dict__

    @classmethod
    def from_author_and_content(cls, author: Author, content: str | Content) -> "Message":
        return cls(author=author, content=[_part(content)])

    @classmethod
    def from_role_and_content(cls, role: Role, content: str | Content) -> "Message":
        return cls.from_author_and_content(Author(role=role), content)

    @classmethod
    def from_role_and_contents(cls, role: Role, contents: Sequence[Content]) -> "Message":
        return cls(author=Author(role=role), content=list(contents))

    def adding_content(self, content: str | Content) -> "Message":
        self.content.append(_part(content))
        return self

    def with_channel(self, channel: str) -> "Message":
        self.channel = channel
        return self

    def with_recipient(self, recipient: str) -> "Message":
        self.recipient = recipient
        return self

    def with_content_type(self, content_type: str) -> "Message":
        self.content_type = content_type
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; channel, recipient and content type only where they are set."""
        optional = {
            "channel": self.channel,
            "recipient": self.recipient,
            "content_type": self.content_type,
        }
        return {
            "role": self.author.role,
            "name": self.author.name,
            "content": [part.to_dict() for part in self.content],
            **{name: value for name, value in optional.items() if value is not None},
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Message":
        """Read what `to_dict` wrote; a plain string is one text. Raises ValueError for unknown parts."""
        raw = data["content"]
        parts = [{"type": "text", "text": raw}] if isinstance(raw, str) else raw
        return cls(
            author=Author(role=Role(data["role"]), name=data.get("name")),
            content=[_typed(part) for part in parts],
            channel=data.get("channel"),
            recipient=data.get("recipient"),
            content_type=data.get("content_type"),
        )


class Conversation(BaseModel):
    """A list of messages; iterating it yields them."""

    messages: list[Message] = Field(default_factory=list[Message])

    @classmethod
    def from_messages(cls, messages: Sequence[Message]) -> "Conversation":
        return cls(messages=list(messages))

    def __iter__(self) -> Iterator[Message]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(self.messages)

    def to_dict(self) -> dict[str, Any]:
        return {"messages": [message.to_dict() for message in self.messages]}

    def to_json(self) -> str:
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, payload: str) -> "Conversation":
        return cls(messages=[Message.from_dict(raw) for raw in json.loads(payload)["messages"]])


def _part(content: str | Content) -> Content:
    return TextContent(text=content) if isinstance(content, str) else content


def _typed(raw: dict[str, Any]) -> Content:
    """Read one part of the JSON format, which always says its type."""
    if "type" not in raw:
        raise ValueError(f"Unknown content variant: {raw}")
    return cast(Content, _content(raw))
