"""What is stored, as frozen values, and how a value becomes a row and a row a value.

It knows no SQL. JSON is text in which every character beyond ASCII is escaped: what a client sent may hold
lone surrogates, which no encoding writes.
"""

import json
from dataclasses import dataclass
from sqlite3 import Row
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, with_config

_STRICT = ConfigDict(extra="forbid")
Seconds = Annotated[int, Field(strict=True, ge=0, lt=253_402_300_800)]
"""Since 1970, up to the year 9999."""
Value = str | int | None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response: the object as its client reads it, what it was given, and what was said.

    `body`: the response object. `messages`: Harmony messages as
    `agent.saved.message_to_dict(ids=True)` writes them. `text`: what the search reads. `harmony`: the exact
    ids of prompt and answer, packed by who wrote them.
    """

    id: str
    owner: str
    created_at: Seconds
    status: str
    previous_id: str | None
    conversation_id: str | None
    body: dict[str, Any]
    input_items: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    text: str
    harmony: str = ""


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation without its items."""

    id: str
    owner: str
    created_at: Seconds
    metadata: dict[str, Any]


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class StoredItem:
    """One item of a conversation: as its client reads it, as Harmony messages, and as text for the search."""

    id: str
    item: dict[str, Any]
    messages: list[dict[str, Any]]
    text: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One place where a search found its words; `excerpt` is a line around the first of them."""

    kind: Literal["response", "item"]
    owner: str
    id: str
    conversation_id: str | None
    created_at: Seconds
    excerpt: str


def storable(text: str) -> str:
    """`text` as SQLite can hold and search it: lone surrogates become "?", NUL a space."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")


def keys(*texts: str) -> tuple[str, ...]:
    """The values of columns that a row is looked up by."""
    return tuple(storable(text) for text in texts)


def dumped(value: object) -> str:
    """A JSON value as the text of a column."""
    return json.dumps(value, separators=(",", ":"))


def response_row(record: StoredResponse) -> dict[str, Value]:
    """The columns of a response."""
    return {
        "id": storable(record.id),
        "owner": storable(record.owner),
        "created_at": record.created_at,
        "status": storable(record.status),
        "previous_id": record.previous_id and storable(record.previous_id),
        "conversation_id": record.conversation_id and storable(record.conversation_id),
        "body": dumped(record.body),
        "input_items": dumped(record.input_items),
        "messages": dumped(record.messages),
        "text": storable(record.text),
        "harmony": record.harmony,
    }


def response_of(row: Row) -> StoredResponse:
    """The response a row holds."""
    return StoredResponse(
        row["id"],
        row["owner"],
        row["created_at"],
        row["status"],
        row["previous_id"],
        row["conversation_id"],
        json.loads(row["body"]),
        json.loads(row["input_items"]),
        json.loads(row["messages"]),
        row["text"],
        row["harmony"],
    )


def conversation_row(record: StoredConversation) -> dict[str, Value]:
    """The columns of a conversation."""
    return {
        "id": storable(record.id),
        "owner": storable(record.owner),
        "created_at": record.created_at,
        "metadata": dumped(record.metadata),
    }


def conversation_of(row: Row) -> StoredConversation:
    """The conversation a row holds."""
    return StoredConversation(row["id"], row["owner"], row["created_at"], json.loads(row["metadata"]))


def item_row(owner: str, conversation_id: str, record: StoredItem) -> dict[str, Value]:
    """The columns of an item."""
    return {
        "id": storable(record.id),
        "owner": storable(owner),
        "conversation_id": storable(conversation_id),
        "item": dumped(record.item),
        "messages": dumped(record.messages),
        "text": storable(record.text),
    }


def item_of(row: Row) -> StoredItem:
    """The item a row holds."""
    return StoredItem(row["id"], json.loads(row["item"]), json.loads(row["messages"]), row["text"])
