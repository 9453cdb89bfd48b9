"""The store as the server sees it: asynchronous, every write durable when it returns.

Any number of requests may call it at once from one event loop or several; another process may have the
same file open (``ossia store search`` while the server runs).
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

from ossia.server.store import conversations, responses
from ossia.server.store.database import connect, connect_reader, typed_errors
from ossia.server.store.lanes import Lane, Work
from ossia.server.store.migrations import prepare
from ossia.server.store.records import Hit, StoredConversation, StoredItem, StoredResponse
from ossia.server.store.search import search

T = TypeVar("T")


class Store:
    """Responses and conversations by owner; one owner never sees what another stored."""

    def __init__(self, writer: Lane, reader: Lane) -> None:
        self._writer, self._reader = writer, reader

    @classmethod
    def open(cls, path: Path) -> "Store":
        """Open the store at `path`, making it (0600, its folder 0700) or bringing it up to date.

        Raises SettingsError where the file is newer than this program, damaged, another program's, or not
        ours to write: it is left as it is.
        """
        with typed_errors(path):
            prepare(path)
            return cls(Lane(connect(path), path, writes=True), Lane(connect_reader(path), path, writes=False))

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._writer.close)

    async def _write(self, work: Work[T]) -> T:
        # A request that is cancelled takes nothing back: what was queued is written whole.
        return await asyncio.shield(asyncio.wrap_future(self._writer.submit(work)))

    async def _read(self, work: Work[T]) -> T:
        return await asyncio.shield(asyncio.wrap_future(self._reader.submit(work)))

    async def put_response(
        self, record: StoredResponse, conversation_items: Sequence[StoredItem] = ()
    ) -> None:
        """Insert or replace a response, in one transaction with the items it adds to its conversation.

        Raises NotFoundError where that conversation is gone; nothing is written then.
        """
        await self._write(lambda db: responses.put_response(db, record, conversation_items))

    async def get_response(self, owner: str, id: str) -> StoredResponse | None:
        """The response of that owner and id, or None."""
        return await self._read(lambda db: responses.get_response(db, owner, id))

    async def find_item(self, owner: str, item_id: str) -> StoredResponse | None:
        """The newest of that owner's last responses that has an item of that id, given or made, or None."""
        return await self._read(lambda db: responses.find_item(db, owner, item_id))

    async def delete_response(self, owner: str, id: str) -> bool:
        """Delete it; False where there is none."""
        return await self._write(lambda db: responses.delete_response(db, owner, id))

    async def list_responses(
        self, owner: str, *, after: str | None, limit: int, order: Literal["asc", "desc"]
    ) -> tuple[list[StoredResponse], bool]:
        """Responses in the order they were first stored, and whether there are more behind them.

        Raises InputError where `after` is no id of theirs.
        """
        return await self._read(
            lambda db: responses.list_responses(db, owner, after=after, limit=limit, order=order)
        )

    async def put_conversation(self, record: StoredConversation) -> None:
        """Insert a conversation, or replace its metadata; its items stay."""
        await self._write(lambda db: conversations.put_conversation(db, record))

    async def get_conversation(self, owner: str, id: str) -> StoredConversation | None:
        """The conversation of that owner and id, or None."""
        return await self._read(lambda db: conversations.get_conversation(db, owner, id))

    async def delete_conversation(self, owner: str, id: str) -> bool:
        """Delete it with its items; False where there is none. Responses made in it stay."""
        return await self._write(lambda db: conversations.delete_conversation(db, owner, id))

    async def add_items(self, owner: str, conversation_id: str, items: Sequence[StoredItem]) -> None:
        """Put items behind those that are there; one whose id is there is replaced where it stands.

        Raises NotFoundError where there is no such conversation.
        """
        await self._write(lambda db: conversations.add_items(db, owner, conversation_id, items))

    async def get_item(self, owner: str, conversation_id: str, item_id: str) -> StoredItem | None:
        """One item of a conversation, or None."""
        return await self._read(lambda db: conversations.get_item(db, owner, conversation_id, item_id))

    async def delete_item(self, owner: str, conversation_id: str, item_id: str) -> bool:
        """Delete it; False where there is none."""
        return await self._write(lambda db: conversations.delete_item(db, owner, conversation_id, item_id))

    async def list_items(
        self,
        owner: str,
        conversation_id: str,
        *,
        after: str | None,
        limit: int,
        order: Literal["asc", "desc"],
    ) -> tuple[list[StoredItem], bool]:
        """Items in the order they were added, and whether there are more behind them.

        Raises InputError where `after` is no id of theirs.
        """
        return await self._read(
            lambda db: conversations.list_items(
                db, owner, conversation_id, after=after, limit=limit, order=order
            )
        )

    async def search(self, owner: str, text: str, *, limit: int) -> list[Hit]:
        """Where all words of `text` were said, newest first."""
        return await self._read(lambda db: search(db, owner, text, limit=limit))
