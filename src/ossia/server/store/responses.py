"""The table of responses: one function per question, on a connection it is given."""

from collections.abc import Sequence
from sqlite3 import Connection
from typing import Literal

from ossia.server.store.conversations import add_items
from ossia.server.store.pages import page
from ossia.server.store.records import StoredItem, StoredResponse, dumped, keys, response_of, response_row

COLUMNS = (
    "id",
    "owner",
    "created_at",
    "status",
    "previous_id",
    "conversation_id",
    "body",
    "input_items",
    "messages",
    "text",
    "harmony",
)
_SEARCHED = 2000  # a reference is to what was said lately
_CHANGED = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[2:])
_PUT = (
    f"INSERT INTO responses ({', '.join(COLUMNS)}) VALUES ({', '.join(f':{name}' for name in COLUMNS)})"
    f" ON CONFLICT (owner, id) DO UPDATE SET {_CHANGED}"
)


def put_response(db: Connection, record: StoredResponse, items: Sequence[StoredItem]) -> None:
    """Insert or replace a response, and add its items to its conversation; raises NotFoundError where
    there is no such conversation."""
    db.execute(_PUT, response_row(record))
    if items:
        assert record.conversation_id is not None, "items need a conversation"
        add_items(db, record.owner, record.conversation_id, items)


def get_response(db: Connection, owner: str, id: str) -> StoredResponse | None:
    """The response of that owner and id."""
    row = db.execute("SELECT * FROM responses WHERE owner = ? AND id = ?", keys(owner, id)).fetchone()
    return None if row is None else response_of(row)


def find_item(db: Connection, owner: str, item_id: str) -> StoredResponse | None:
    """The newest response with an item of that id, among the last `_SEARCHED`."""
    query = (
        "SELECT * FROM (SELECT * FROM responses WHERE owner = ? ORDER BY key DESC LIMIT ?)"
        " WHERE instr(body, ?) OR instr(input_items, ?) LIMIT 1"
    )
    part = f'"id":{dumped(item_id)}'
    row = db.execute(query, (*keys(owner), _SEARCHED, part, part)).fetchone()
    return None if row is None else response_of(row)


def delete_response(db: Connection, owner: str, id: str) -> bool:
    """Delete it; False where there is none."""
    return db.execute("DELETE FROM responses WHERE owner = ? AND id = ?", keys(owner, id)).rowcount > 0


def list_responses(
    db: Connection, owner: str, *, after: str | None, limit: int, order: Literal["asc", "desc"]
) -> tuple[list[StoredResponse], bool]:
    """Responses in the order they were first stored, and whether there are more."""
    rows, more = page(db, "responses", {"owner": owner}, after, limit, order)
    return [response_of(row) for row in rows], more
