"""Computed prefixes on disk, so that the next start of the same prompt is nearly free."""

from ossia.engine.snapshots.key import KV_VERSION, model_identity
from ossia.engine.snapshots.store import SnapshotOptions, SnapshotStore, open_store

__all__ = ["KV_VERSION", "SnapshotOptions", "SnapshotStore", "model_identity", "open_store"]
