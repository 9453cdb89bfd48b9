"""Where responses are found: those under way and just over in memory, the others in the store.

A response that was under way when its server died is found as failed.
"""

from dataclasses import replace
from typing import Any

from ossia.errors import InputError, NotFoundError
from ossia.server.responses.state.runs import Runs
from ossia.server.store.records import StoredConversation, StoredItem, StoredResponse
from ossia.server.store.store import Store

UNDER_WAY = ("queued", "in_progress")
_DIED = {"code": "server_error", "message": "The server was stopped while it answered."}


class Archive:
    """The store, where there is one, and the runs before it."""

    def __init__(self, store: Store | None, runs: Runs) -> None:
        self._store = store
        self.runs = runs

    @property
    def stores(self) -> bool:
        return self._store is not None

    async def response(self, owner: str, id: str) -> StoredResponse:
        """The response of that owner and id; raises NotFoundError."""
        record = await self.find(owner, id)
        if record is None:
            raise NotFoundError(
                f"Response with id '{id}' not found.",
                value=id,
                remedy="It was never stored, or deleted, or is another's.",
                param="response_id",
            )
        return record

    async def find(self, owner: str, id: str) -> StoredResponse | None:
        """The same, or None."""
        run = self.runs.get(owner, id)
        return run.record if run is not None else await self._stored(owner, id)

    async def put(self, record: StoredResponse, items: list[StoredItem] | None = None) -> None:
        """Store a response, and the items it adds to its conversation; nothing where nothing is stored."""
        if self._store is not None:
            await self._store.put_response(record, items or ())

    async def delete(self, owner: str, id: str) -> None:
        """Stop it and forget it; raises NotFoundError."""
        await self.response(owner, id)
        if (run := self.runs.get(owner, id)) is not None:
            await run.cancel()
        self.runs.forget(owner, id)
        if self._store is not None:
            await self._store.delete_response(owner, id)

    async def drop(self, record: StoredResponse) -> None:
        """Take back a response that nobody was told of."""
        if self._store is not None:
            await self._store.delete_response(record.owner, record.id)

    async def conversation(self, owner: str, id: str) -> StoredConversation:
        """The conversation of that owner and id; raises NotFoundError."""
        store = self._store
        record = None if store is None else await store.get_conversation(owner, id)
        if record is None:
            raise NotFoundError(
                f"Conversation with id '{id}' not found.",
                value=id,
                remedy="Create it first." if store else "This server stores nothing.",
                param="conversation",
            )
        return record

    async def items(self, owner: str, conversation_id: str) -> list[StoredItem]:
        """All items of a conversation, oldest first."""
        found: list[StoredItem] = []
        more = True
        while more:
            after = found[-1].id if found else None
            page, more = await self.store.list_items(
                owner, conversation_id, after=after, limit=1000, order="asc"
            )
            found += page
        return found

    async def items_beside(self, owner: str, item_id: str) -> dict[str, dict[str, Any]]:
        """All items of the response that has the one of that id, by their ids; none where no response has."""
        items = self.runs.items(owner)
        if self._store is not None and all(item["id"] != item_id for item in items):
            record = await self._store.find_item(owner, item_id)
            items = [] if record is None else [*record.input_items, *record.body["output"]]
        return {item["id"]: item for item in items}

    @property
    def store(self) -> Store:
        """The store; raises InputError where there is none."""
        if self._store is None:
            raise InputError(
                "this server stores nothing",
                limit="no store",
                remedy="Start it without --no-store, or send the whole conversation each time.",
            )
        return self._store

    async def _stored(self, owner: str, id: str) -> StoredResponse | None:
        record = None if self._store is None else await self._store.get_response(owner, id)
        if record is None or record.status not in UNDER_WAY:
            return record
        body = {**record.body, "status": "failed", "error": dict(_DIED)}
        record = replace(record, status="failed", body=body)
        await self.put(record)
        return record
