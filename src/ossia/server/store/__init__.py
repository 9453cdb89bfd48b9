"""What the server keeps: responses, conversations and their items, in one SQLite file."""

from ossia.server.store.database import store_path
from ossia.server.store.records import Hit, StoredConversation, StoredItem, StoredResponse
from ossia.server.store.store import Store

__all__ = ["Hit", "Store", "StoredConversation", "StoredItem", "StoredResponse", "store_path"]
