"""One page of a table's rows, in the order they were stored."""

from collections.abc import Mapping
from sqlite3 import Connection, Row
from typing import Literal

from ossia.errors import InputError
from ossia.server.store.records import storable


def page(
    db: Connection,
    table: str,
    where: Mapping[str, str],
    after: str | None,
    limit: int,
    order: Literal["asc", "desc"],
) -> tuple[list[Row], bool]:
    """`limit` rows that stand behind the one with the id `after`, and whether there are more.

    `where`: columns and their values. Raises InputError where there is no row `after`.
    """
    chosen = " AND ".join(f"{name} = :{name}" for name in where)
    values: dict[str, str | int] = {name: storable(value) for name, value in where.items()}
    values["limit"] = limit + 1
    if after is not None:
        values["after"] = _key(db, table, chosen, {**values, "id": storable(after)})
        chosen += f" AND key {'>' if order == 'asc' else '<'} :after"
    query = f"SELECT * FROM {table} WHERE {chosen} ORDER BY key {order} LIMIT :limit"
    rows = db.execute(query, values).fetchall()
    return rows[:limit], len(rows) > limit


def _key(db: Connection, table: str, chosen: str, values: Mapping[str, str | int]) -> int:
    row = db.execute(f"SELECT key FROM {table} WHERE {chosen} AND id = :id", values).fetchone()
    if row is None:
        raise InputError(
            f"'after': there is no {values['id']!r} in this list",
            value=values["id"],
            remedy="Give the id of the last element of the page before, or leave it out.",
        )
    return row["key"]
