"""Computed prefixes on disk, so that the next start of the same prompt is nearly free."""

from ossia.engine.snapshots.folder import kept_files, remove_all
from ossia.engine.snapshots.key import KV_VERSION, model_identity
from ossia.engine.snapshots.store import SnapshotOptions, SnapshotStore, open_store

__all__ = [
    "KV_VERSION",
    "SnapshotOptions",
    "SnapshotStore",
    "kept_files",
    "model_identity",
    "open_store",
    "remove_all",
]
