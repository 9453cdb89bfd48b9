"""The store as JSON Lines: a header, then one conversation, item or response per line.

An import is all or nothing. What is there already is skipped where it is identical, and refused where not.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from sqlite3 import Connection, Row
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from ossia.errors import InputError, OssiaError
from ossia.server.store.conversations import add_items, get_conversation, get_item, put_conversation
from ossia.server.store.database import transaction
from ossia.server.store.records import (
    Seconds,
    StoredConversation,
    StoredItem,
    StoredResponse,
    conversation_of,
    item_of,
    response_of,
)
from ossia.server.store.responses import get_response, put_response

FORMAT = "ossia-store"
VERSION = 1
_RESPONSE = TypeAdapter(StoredResponse)
_CONVERSATION = TypeAdapter(StoredConversation)
_ITEM = TypeAdapter(StoredItem)
_SECONDS = TypeAdapter[int](Seconds)


@dataclass(frozen=True, slots=True)
class Imported:
    """How many records an import added, and how many were there already."""

    added: int
    skipped: int


def export_lines(db: Connection) -> Iterator[str]:
    """Everything in the store as it is at one moment, a line at a time, each with its newline."""
    db.execute("BEGIN")
    try:
        yield _line({"format": FORMAT, "version": VERSION})
        for row in db.execute("SELECT * FROM conversations ORDER BY key"):
            yield _line({"kind": "conversation", **_CONVERSATION.dump_python(conversation_of(row))})
        for row in db.execute("SELECT * FROM items ORDER BY key"):
            yield _line(_item_fields(row))
        for row in db.execute("SELECT * FROM responses ORDER BY key"):
            yield _line({"kind": "response", **_RESPONSE.dump_python(response_of(row))})
    finally:
        db.execute("ROLLBACK")  # nothing was written


def import_lines(db: Connection, lines: Iterable[bytes]) -> Imported:
    """Add what `export_lines` wrote; raises InputError naming the first bad line, and adds nothing then."""
    added = skipped = 0
    with transaction(db):
        numbered = enumerate(lines, 1)
        _check_header(next(numbered, (1, b""))[1])
        for number, line in numbered:
            try:
                new = _import(db, _object(line))
            except (OssiaError, ValidationError) as error:
                raise _bad(number, error) from error
            added, skipped = added + new, skipped + (not new)
    return Imported(added, skipped)


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _item_fields(row: Row) -> dict[str, Any]:
    place = {name: row[name] for name in ("owner", "conversation_id", "created_at")}
    return {"kind": "item", **place, **_ITEM.dump_python(item_of(row))}


def _object(line: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError("this is no JSON object")
    return cast(dict[str, Any], value)


def _check_header(line: bytes) -> None:
    try:
        header = _object(line)
    except InputError as error:
        raise _bad(1, error) from error
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise InputError(
            f"line 1: format {header.get('format')!r}, version {header.get('version')!r}",
            value=line[:200].decode(errors="replace"),
            limit=f"{FORMAT}, version {VERSION}",
            remedy="Give a file that ossia store export wrote; a newer one needs a newer Ossia.",
        )


def _import(db: Connection, fields: dict[str, Any]) -> bool:
    """Add one record; False where it is there already, the same."""
    kind = fields.pop("kind", None)
    if kind == "conversation":
        return _import_conversation(db, _CONVERSATION.validate_python(fields))
    if kind == "response":
        return _import_response(db, _RESPONSE.validate_python(fields))
    if kind == "item":
        owner, conversation_id = (_text(fields.pop(name, None)) for name in ("owner", "conversation_id"))
        created_at = _SECONDS.validate_python(fields.pop("created_at", None))
        return _import_item(db, owner, conversation_id, created_at, _ITEM.validate_python(fields))
    raise InputError(f"kind {kind!r} is none of conversation, item, response")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InputError("owner and conversation_id must be texts")
    return value


def _is_new(before: object, record: object, id: str) -> bool:
    if before is not None and before != record:
        raise InputError(f"{id!r} is in the store already, with other content")
    return before is None


def _import_conversation(db: Connection, record: StoredConversation) -> bool:
    new = _is_new(get_conversation(db, record.owner, record.id), record, record.id)
    if new:
        put_conversation(db, record)
    return new


def _import_response(db: Connection, record: StoredResponse) -> bool:
    new = _is_new(get_response(db, record.owner, record.id), record, record.id)
    if new:
        put_response(db, record, ())
    return new


def _import_item(
    db: Connection, owner: str, conversation_id: str, created_at: int, record: StoredItem
) -> bool:
    new = _is_new(get_item(db, owner, conversation_id, record.id), record, record.id)
    if new:
        add_items(db, owner, conversation_id, [record])
        place = (created_at, owner, conversation_id, record.id)
        db.execute(
            "UPDATE items SET created_at = ? WHERE owner = ? AND conversation_id = ? AND id = ?", place
        )
    return new


def _bad(number: int, error: Exception) -> InputError:
    text = error.message if isinstance(error, OssiaError) else str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return InputError(
        f"line {number}: {text}", value=number, remedy="Nothing was imported: mend that line, or remove it."
    )
