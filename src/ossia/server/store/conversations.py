"""The tables of conversations and their items: one function per question, on a connection it is given."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Literal

from ossia.errors import NotFoundError
from ossia.server.store.pages import page
from ossia.server.store.records import (
    StoredConversation,
    StoredItem,
    conversation_of,
    conversation_row,
    item_of,
    item_row,
    keys,
)

_PUT = (
    "INSERT INTO conversations (id, owner, created_at, metadata) VALUES (:id, :owner, :created_at, :metadata)"
    " ON CONFLICT (owner, id) DO UPDATE SET created_at = excluded.created_at, metadata = excluded.metadata"
)
_ADD = (
    "INSERT INTO items (id, owner, conversation_id, item, messages, text)"
    " VALUES (:id, :owner, :conversation_id, :item, :messages, :text)"
    " ON CONFLICT (owner, conversation_id, id) DO UPDATE"
    " SET item = excluded.item, messages = excluded.messages, text = excluded.text"
)
_ITEM = "FROM items WHERE owner = ? AND conversation_id = ? AND id = ?"


def put_conversation(db: Connection, record: StoredConversation) -> None:
    """Insert a conversation, or replace its metadata; its items stay."""
    db.execute(_PUT, conversation_row(record))


def get_conversation(db: Connection, owner: str, id: str) -> StoredConversation | None:
    """The conversation of that owner and id."""
    query = "SELECT * FROM conversations WHERE owner = ? AND id = ?"
    row = db.execute(query, keys(owner, id)).fetchone()
    return None if row is None else conversation_of(row)


def delete_conversation(db: Connection, owner: str, id: str) -> bool:
    """Delete it with its items; False where there is none. Responses made in it stay."""
    query = "DELETE FROM conversations WHERE owner = ? AND id = ?"
    return db.execute(query, keys(owner, id)).rowcount > 0


def add_items(db: Connection, owner: str, conversation_id: str, items: Sequence[StoredItem]) -> None:
    """Put items behind those that are there; one whose id is there already is replaced where it stands.

    Raises NotFoundError where there is no such conversation.
    """
    if get_conversation(db, owner, conversation_id) is None:
        raise NotFoundError(
            f"there is no conversation {conversation_id!r}",
            value=conversation_id,
            remedy="Create it first; a deleted one cannot be continued.",
        )
    db.executemany(_ADD, [item_row(owner, conversation_id, item) for item in items])


def get_item(db: Connection, owner: str, conversation_id: str, item_id: str) -> StoredItem | None:
    """One item of a conversation."""
    row = db.execute(f"SELECT * {_ITEM}", keys(owner, conversation_id, item_id)).fetchone()
    return None if row is None else item_of(row)


def delete_item(db: Connection, owner: str, conversation_id: str, item_id: str) -> bool:
    """Delete it; False where there is none."""
    return db.execute(f"DELETE {_ITEM}", keys(owner, conversation_id, item_id)).rowcount > 0


def list_items(
    db: Connection,
    owner: str,
    conversation_id: str,
    *,
    after: str | None,
    limit: int,
    order: Literal["asc", "desc"],
) -> tuple[list[StoredItem], bool]:
    """Items in the order they were added, and whether there are more."""
    where = {"owner": owner, "conversation_id": conversation_id}
    rows, more = page(db, "items", where, after, limit, order)
    return [item_of(row) for row in rows], more
