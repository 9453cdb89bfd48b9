"""`ossia store`: what is kept, found, moved and deleted, without a server."""

import asyncio
import json
from pathlib import Path

import pytest

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.server.store import Store, StoredConversation, StoredItem, StoredResponse, store_path
from ossia.settings import Settings

Capture = pytest.CaptureFixture[str]
SAID = {"role": "user", "content": "오늘 서울 날씨"}


@pytest.fixture
def kept(settings: Settings) -> Path:
    """A store with one response in one conversation."""

    async def fill() -> None:
        store = Store.open(store_path(settings))
        await store.put_conversation(StoredConversation("conv_1", "", 1_700_000_000, {}))
        items = [StoredItem("msg_1", SAID, [SAID], "오늘 서울 날씨")]
        record = StoredResponse(
            "resp_1", "", 1_700_000_000, "completed", None, "conv_1", {}, [], [], "needle"
        )
        await store.put_response(record, items)
        await store.close()

    asyncio.run(fill())
    return store_path(settings)


def test_nothing_is_there_and_none_is_made(settings: Settings, capsys: Capture) -> None:
    for command in (["show"], ["search", "x"], ["clear", "--yes"]):
        assert execute(["store", *command], App(settings)) == 0
    assert execute(["store", "export"], App(settings)) == 2
    assert f"nothing is kept at {store_path(settings)}" in capsys.readouterr().out
    assert not store_path(settings).parent.exists()


def test_show_counts(settings: Settings, kept: Path, capsys: Capture) -> None:
    assert execute(["store", "show"], App(settings)) == 0
    told = capsys.readouterr().out
    assert told.startswith("responses: 1, conversations: 1 (items: 1), ")
    assert str(kept) in told


def test_search_says_when_where_and_what(settings: Settings, kept: Path, capsys: Capture) -> None:
    assert execute(["store", "search", "날씨"], App(settings)) == 0
    assert capsys.readouterr().out.rstrip().endswith("  conv_1  오늘 서울 날씨")
    assert execute(["store", "search", "needle", "--json"], App(settings)) == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert (hit["kind"], hit["id"], hit["created_at"]) == ("response", "resp_1", 1_700_000_000)
    assert execute(["store", "search", "nowhere"], App(settings)) == 0
    assert capsys.readouterr() == ("", "not found\n")


def test_export_clear_import(settings: Settings, kept: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "kept.jsonl"
    assert execute(["store", "export", str(file)], App(settings)) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert execute(["store", "export"], App(settings)) == 0
    assert file.read_text() in capsys.readouterr().out
    assert execute(["store", "clear", "--yes"], App(settings)) == 0
    assert "responses 1, conversations 1, items 1" in capsys.readouterr().out
    assert execute(["store", "import", str(file)], App(settings)) == 0
    assert execute(["store", "import", str(file)], App(settings)) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [
        "added 3 records, skipped 0 that were there already",
        "added 0 records, skipped 3 that were there already",
    ]


def test_after_clear_no_word_is_left_in_any_file(settings: Settings, kept: Path) -> None:
    backup = kept.with_name("ossia.db.v0.backup")
    backup.write_bytes(kept.read_bytes())
    assert execute(["store", "clear", "--yes"], App(settings)) == 0
    assert not backup.exists()
    left = b"".join(file.read_bytes() for file in kept.parent.iterdir())
    assert "날씨".encode() not in left
    assert b"needle" not in left
    assert b"resp_1" not in left


def test_clear_wants_a_yes(settings: Settings, kept: Path, capsys: Capture) -> None:
    before = kept.read_bytes()
    assert execute(["store", "clear"], App(settings)) == 2
    assert "--yes" in capsys.readouterr().err
    assert kept.read_bytes() == before


def test_a_bad_import_names_the_line_and_changes_nothing(
    settings: Settings, kept: Path, tmp_path: Path, capsys: Capture
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"format": "ossia-store", "version": 1}\n{"kind": "response"}\n')
    assert execute(["store", "import", str(bad)], App(settings)) == 2
    assert "line 2: id: " in capsys.readouterr().err


def test_it_speaks_korean(settings: Settings, kept: Path, capsys: Capture) -> None:
    assert execute(["store", "show", "--lang", "ko"], App(settings)) == 0
    assert capsys.readouterr().out.startswith("응답 1개, 대화 1개(항목 1개), ")
