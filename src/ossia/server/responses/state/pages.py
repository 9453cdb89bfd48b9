"""Lists in pages, as OpenAI's clients ask for them and read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from ossia.errors import InputError

DEFAULT_LIMIT = 20
MAX_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted: `limit` elements behind the one with the id `after`."""

    after: str | None = None
    limit: int = DEFAULT_LIMIT
    order: Literal["asc", "desc"] = "desc"

    def of(self, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """That part of `items`, which are in ascending order. Raises InputError where `after` is none of
        them."""
        items = items if self.order == "asc" else items[::-1]
        start = 0
        if self.after is not None:
            places = [at for at, item in enumerate(items) if item["id"] == self.after]
            if not places:
                raise InputError(
                    f"there is no {self.after!r} in this list",
                    value=self.after,
                    remedy="Give the id of the last element of the page before, or leave it out.",
                    param="after",
                )
            start = places[0] + 1
        return listed(items[start : start + self.limit], more=len(items) > start + self.limit)


def read_page(request: Request) -> Page:
    """What a request's query asks for; raises InputError for an impossible limit or order."""
    order, limit = request.query_params.get("order") or "desc", request.query_params.get("limit")
    if order not in ("asc", "desc"):
        raise InputError(
            f"order {order!r} is neither asc nor desc",
            value=order,
            limit=("asc", "desc"),
            remedy="Choose one of them.",
            param="order",
        )
    return Page(request.query_params.get("after") or None, _limit(limit), order)


def listed(items: Sequence[dict[str, Any]], *, more: bool) -> dict[str, Any]:
    """A page as its client reads it."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else None,
        "last_id": items[-1]["id"] if items else None,
        "has_more": more,
    }


def _limit(text: str | None) -> int:
    if not text:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= MAX_LIMIT:
        return int(text)
    raise InputError(
        f"limit {text[:20]!r} is no number from 1 to {MAX_LIMIT}",
        value=text[:20],
        limit=(1, MAX_LIMIT),
        remedy=f"Ask for 1 to {MAX_LIMIT} elements at a time.",
        param="limit",
    )
