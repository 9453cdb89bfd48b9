"""Words found in what users and models said, newest first.

The index holds every three characters in a row, so a part of a word is found, in Korean too. Shorter words
(most of Korean's have two syllables) are looked for in the texts themselves. What a user types is data: it is
quoted, and no syntax of the index in it means anything.
"""

import re
from sqlite3 import Connection, Row
from typing import Literal, cast

from ossia.server.store.records import Hit, storable

_INDEXED = 3  # characters
_PHRASE = 32  # characters of a word that the index is asked for: its time grows with them
_AROUND = 60  # characters of an excerpt before and after the word
_WORDS = 32  # of a search
_LONGEST = 1000  # characters of a search


def search(db: Connection, owner: str | None, text: str, *, limit: int) -> list[Hit]:
    """Where all words of `text` stand, at most `limit` places; `owner` None searches everybody's."""
    words = storable(text[:_LONGEST]).split()[:_WORDS]
    if not words:
        return []
    found = [hit for table in ("responses", "items") for hit in _in_table(db, table, owner, words, limit)]
    return sorted(found, key=lambda hit: -hit.created_at)[:limit]


def _in_table(db: Connection, table: str, owner: str | None, words: list[str], limit: int) -> list[Hit]:
    conditions, values = _conditions(table, words)
    if owner is not None:
        conditions, values = [*conditions, "owner = ?"], [*values, storable(owner)]
    columns = "owner, id, conversation_id, created_at, text"
    query = f"SELECT {columns} FROM {table} WHERE {' AND '.join(conditions)} ORDER BY key DESC LIMIT ?"
    return [_hit(table, row, words) for row in db.execute(query, (*values, limit))]


def _conditions(table: str, words: list[str]) -> tuple[list[str], list[str]]:
    indexed = [word[:_PHRASE] for word in words if len(word) >= _INDEXED]
    read = [word for word in words if not _INDEXED <= len(word) <= _PHRASE]
    conditions = [r"text LIKE ? ESCAPE '\'"] * len(read)
    values = ["%" + re.sub(r"([%_\\])", r"\\\1", word) + "%" for word in read]
    if indexed:
        conditions.append(f"key IN (SELECT rowid FROM {table}_said WHERE {table}_said MATCH ?)")
        values.append(" AND ".join(f'"{word.replace(chr(34), chr(34) * 2)}"' for word in indexed))
    return conditions, values


def _hit(table: str, row: Row, words: list[str]) -> Hit:
    kind = cast(Literal["response", "item"], table.removesuffix("s"))
    excerpt = _excerpt(row["text"], words)
    return Hit(kind, row["owner"], row["id"], row["conversation_id"], row["created_at"], excerpt)


def _excerpt(text: str, words: list[str]) -> str:
    line = " ".join(text.split())
    found = re.search("|".join(map(re.escape, words)), line, re.IGNORECASE)
    middle = found.start() if found else 0
    start, end = max(0, middle - _AROUND), middle + _AROUND
    return ("…" if start else "") + line[start:end] + ("…" if end < len(line) else "")
