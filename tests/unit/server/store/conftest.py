"""Records for the store's tests, and a store in a temporary folder."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ossia.server.store import Store, StoredConversation, StoredItem, StoredResponse


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "ossia.db"


@pytest.fixture
def in_store(path: Path) -> Callable[[Callable], object]:
    """in_store(work): what the coroutine function `work` makes of an open store, closed afterwards."""

    def run(work):
        async def main():
            store = Store.open(path)
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(main())

    return run


@pytest.fixture
def response() -> Callable[..., StoredResponse]:
    def make(id: str = "resp_1", owner: str = "", text: str = "", **fields) -> StoredResponse:
        said = [{"role": "user", "content": text}]
        values = {
            "created_at": 1_700_000_000,
            "status": "completed",
            "previous_id": None,
            "conversation_id": None,
            "body": {"id": id, "output": [{"text": text}], "n": 1.5, "no": None},
            "input_items": [{"id": "msg_1", "type": "message", "content": text}],
            "messages": said,
            "text": text,
        }
        return StoredResponse(id=id, owner=owner, **(values | fields))

    return make


@pytest.fixture
def conversation() -> Callable[..., StoredConversation]:
    return lambda id="conv_1", owner="", **metadata: StoredConversation(id, owner, 1_700_000_000, metadata)


@pytest.fixture
def item() -> Callable[..., StoredItem]:
    def make(id: str = "msg_1", text: str = "") -> StoredItem:
        return StoredItem(id, {"id": id, "type": "message"}, [{"role": "user", "content": text}], text)

    return make
