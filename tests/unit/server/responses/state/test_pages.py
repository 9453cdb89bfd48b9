"""Pages: behind an id, as many as asked for, in either order."""

import pytest
from starlette.requests import Request

from ossia.errors import InputError
from ossia.server.responses.state.pages import Page, read_page

ITEMS = [{"id": name} for name in "abcde"]


def asked(query: str) -> Page:
    return read_page(Request({"type": "http", "query_string": query.encode(), "headers": []}))


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", "edcba", False),
        ("order=asc&limit=2", "ab", True),
        ("order=asc&limit=2&after=b", "cd", True),
        ("order=asc&limit=2&after=d", "e", False),
        ("limit=2&after=d", "cb", True),
        ("after=a", "", False),
    ],
)
def test_a_page(query, ids, more):
    page = asked(query).of(ITEMS)
    assert "".join(item["id"] for item in page["data"]) == ids
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=-1", "limit=%C2%B2", "order=up"])
def test_what_is_no_page_is_refused(query):
    with pytest.raises(InputError) as refused:
        asked(query)
    assert refused.value.param in ("limit", "order")


def test_an_unknown_place_is_refused():
    with pytest.raises(InputError, match="'z'"):
        asked("after=z").of(ITEMS)
