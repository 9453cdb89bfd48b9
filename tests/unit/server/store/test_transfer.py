"""Export and import: everything comes back, all or nothing, and a bad line is named."""

import json
from contextlib import closing

import pytest

from ossia.errors import InputError
from ossia.server.store.database import connect
from ossia.server.store.migrations import prepare
from ossia.server.store.transfer import Imported, export_lines, import_lines
from ossia.server.store.upkeep import counts

HEADER = {"format": "ossia-store", "version": 1}


@pytest.fixture
def exported(in_store, path, response, conversation, item) -> list[bytes]:
    async def fill(store):
        await store.put_conversation(conversation(topic="\ud800"))
        await store.put_response(response(text="한국어", conversation_id="conv_1"), [item("msg_1", "날씨")])
        await store.put_response(response(owner="other", text="two\nlines"))
        await store.add_items("", "conv_1", [item("msg_0")])

    in_store(fill)
    with closing(connect(path)) as db:
        return [line.encode() for line in export_lines(db)]


@pytest.fixture
def other(tmp_path):
    """A connection to another store."""
    prepare(tmp_path / "other" / "ossia.db")
    with closing(connect(tmp_path / "other" / "ossia.db")) as db:
        yield db


def changed(line: bytes, **fields) -> bytes:
    return json.dumps(json.loads(line) | fields).encode()


def test_one_line_per_record_behind_a_header(exported) -> None:
    read = [json.loads(line) for line in exported]
    assert read[0] == HEADER
    assert [line["kind"] for line in read[1:]] == ["conversation", "item", "item", "response", "response"]
    assert all(line.isascii() and line.endswith(b"\n") for line in exported)


def test_everything_comes_back(exported, other) -> None:
    assert import_lines(other, exported) == Imported(5, 0)
    assert [line.encode() for line in export_lines(other)] == exported
    assert other.execute("SELECT count(*) FROM items_said WHERE items_said MATCH '날씨'").fetchone()[0] == 0
    assert other.execute("SELECT id FROM items WHERE text LIKE '%날씨%'").fetchone()[0] == "msg_1"


def test_what_is_there_already_is_skipped(exported, other) -> None:
    import_lines(other, exported[:3])
    assert import_lines(other, exported) == Imported(3, 2)
    assert import_lines(other, exported) == Imported(0, 5)


@pytest.mark.parametrize("at", [1, 2, 4])
def test_other_content_under_the_same_id_is_refused(exported, other, at) -> None:
    import_lines(other, exported)
    field = {"item": {"text": "x"}, "response": {"text": "x"}, "conversation": {"metadata": {"x": "y"}}}
    different = changed(exported[at], **field[json.loads(exported[at])["kind"]])
    with pytest.raises(InputError, match=r"line 2: .*with other content"):
        import_lines(other, [exported[0], different])


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"", "no JSON"),
        (b"[]", "no JSON object"),
        (b"[" * 100_000, "no JSON"),
        (b"{}", "kind None"),
        (b'{"kind":"response"}', "id: "),
        (b'{"kind":"item"}', "owner and conversation_id"),
        (b'{"kind":"conversation","id":1,"owner":"","created_at":1,"metadata":{}}', "id: .*string"),
        (b'{"kind":"conversation","id":"c","owner":"","created_at":true,"metadata":{}}', "created_at: "),
        (b'{"kind":"conversation","id":"c","owner":"","created_at":1,"metadata":{},"x":1}', "x: "),
        (
            b'{"kind":"conversation","id":"c","owner":"","created_at":99999999999999999999,"metadata":{}}',
            "created_at: ",
        ),
        (
            b'{"kind":"item","owner":"","conversation_id":"c","created_at":1,"id":"m","item":{},"messages":[],'
            b'"text":""}',
            "no conversation 'c'",
        ),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_line_is_named_and_nothing_is_added(exported, other, line, says) -> None:
    with pytest.raises(InputError, match=f"line 4: .*{says}"):
        import_lines(other, [*exported[:3], line, *exported[3:]])
    assert set(counts(other).values()) == {0}


@pytest.mark.parametrize("header", [b"", b"{}", b"x", b'{"format":"ossia-store","version":2}'])
def test_a_file_without_our_header_is_refused(exported, other, header) -> None:
    with pytest.raises(InputError, match="line 1: "):
        import_lines(other, [header, *exported[1:]])
    assert set(counts(other).values()) == {0}


def test_an_empty_file_is_refused(other) -> None:
    with pytest.raises(InputError, match="line 1: "):
        import_lines(other, [])
