"""Which prefixes go to the disk, and how they come back.

Only prompts are stored: what comes again is their beginning. Copies are taken while the blocks are held, on
the engine's thread, in step with the computing; one thread writes them. A restored prefix is read straight
into the pools' blocks, by two threads. What was read badly is removed and computed again.
"""

import warnings
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Row
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.engine.prefix_cache import first_visible
from ossia.engine.sequence import Sequence
from ossia.engine.snapshots import block_file
from ossia.engine.snapshots.folder import FULL, SNAPSHOT, WINDOW, SnapshotFolder
from ossia.engine.snapshots.key import block_keys, fingerprint, prefix_key
from ossia.kernels import cpu
from ossia.model.config import ModelConfig
from ossia.model.kv_cache import BLOCK, Group
from ossia.settings import KVKind, Numerics

GIB = 1 << 30
_QUEUE_BYTES = GIB // 4  # copies waiting to be written; beyond it a snapshot is left out
_READERS = 2

BlockViews = Callable[[Group, int], list[NDArray[Any]]]
"""(group, block) → writable K and V of the block in each layer of the group, all of one size."""


_Block = tuple[Group, int]
_File = tuple[str, list[_Block]]  # its name, and the pool blocks it holds


@dataclass(frozen=True, slots=True)
class SnapshotOptions:
    """Where prefixes are kept, at most `size_bytes` of them and never more than a tenth of the free disk.

    `identity`: from `model_identity`. A prompt is stored when at least `least_tokens` of it are not yet: at
    its end, and before at positions that lie `spacing` tokens apart or more.
    """

    folder: Path
    identity: str
    size_bytes: int = 2 * GIB
    least_tokens: int = 1024
    spacing: int = 256


@dataclass(frozen=True, slots=True)
class Stored:
    """A prefix on disk: files of its complete blocks in the full layers, of those from the `window_start`-th
    on in the sliding ones, and of the incomplete block behind them in both."""

    position: int
    window_start: int
    blocks: tuple[str, ...]
    window: tuple[str, ...]
    snapshot: str

    @property
    def files(self) -> tuple[str, ...]:
        return *self.blocks, *self.window, self.snapshot


def open_store(
    options: SnapshotOptions, config: ModelConfig, numerics: Numerics, kind: KVKind, views: BlockViews
) -> "SnapshotStore":
    """The store of this model, arithmetic and KV type; it warns and stores nothing where its folder cannot be
    made."""
    mark = fingerprint(options.identity, config, numerics, kind, cpu.current().isa)
    return SnapshotStore(
        options, SnapshotFolder(options.folder, mark, options.size_bytes), views, config.sliding_window
    )


class SnapshotStore:
    """Prefixes in `folder`. All but the writing happens on the caller's thread."""

    def __init__(
        self, options: SnapshotOptions, folder: SnapshotFolder, views: BlockViews, sliding_window: int
    ) -> None:
        self.restored_tokens = 0
        self.stored_bytes = 0  # written by this process
        self.spacing = options.spacing
        self._least_tokens = options.least_tokens
        self._folder = folder
        self._views = views
        self._sliding_window = sliding_window
        self._lock = Lock()  # guards the two below
        self._queued: set[str] = set()
        self._queued_bytes = 0
        self._stopped = False
        # Its thread is joined when the interpreter ends, after what is queued was written.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="ossia-snapshots")
        try:
            folder.create()
        except OSError as error:
            self._stop(error)

    def begin(self, sequence: Sequence, stored: int) -> None:
        """Decide whether the prompt is worth storing, of which `stored` tokens are on disk."""
        sequence.stored = stored
        sequence.store_prompt = sequence.num_prompt - 1 - stored >= self._least_tokens

    def find(self, sequence: Sequence) -> Iterator[Stored]:
        """Prefixes of the sequence's known tokens, longest first, that leave at least one to compute."""
        ids = sequence.token_ids[: sequence.num_tokens]
        if ids.size <= self._least_tokens:
            return
        there = self._folder.snapshots()
        keys = block_keys(ids)
        for position in sorted((p for p in there if p < ids.size), reverse=True):
            if (stored := self._stored(keys, ids, position)).snapshot in there[position]:
                yield stored

    def load(self, stored: Stored, full: Row[int], skip: int, window: Row[int]) -> bool:
        """Read a prefix into pool blocks; False where a file was not as it was written, which is then gone.

        `full`: a block for each begun 64 tokens, of which the first `skip` hold what they should; `window`:
        the blocks of the sliding window.
        """
        tasks = self._files(stored, full, window)[skip:]  # the full layers' blocks come first
        with ThreadPoolExecutor(_READERS) as readers:
            good = list(readers.map(self._read, tasks))
        if not all(good):
            self._folder.discard(stored.snapshot)
            return False
        self.restored_tokens += stored.position
        self._submit(self._folder.touch, stored.files)
        return True

    def offer(self, sequence: Sequence, position: int) -> None:
        """Store the first `position` tokens, all computed, if they are worth it.

        The sequence must hold its blocks, those of the window before `position` included.
        """
        last = sequence.num_prompt - 1  # the same prompt can be asked again there
        if self._stopped or not sequence.store_prompt or not self._least_tokens <= position <= last:
            return
        if position - sequence.stored < (1 if position == last else self.spacing):
            return
        if self._store(sequence, position):
            sequence.stored = position

    def flush(self) -> None:
        """Wait until all that was taken is on the disk."""
        with suppress(RuntimeError):  # the interpreter is ending, and the writer with it
            self._writer.submit(int).result()

    def _store(self, sequence: Sequence, position: int) -> bool:
        """Queue what is not on disk; False where the queue is full (what it took will be of use later)."""
        ids = sequence.token_ids[:position]
        stored = self._stored(block_keys(ids), ids, position)
        full = sequence.full_table[: -(-position // BLOCK)].tolist()
        window = sequence.window_table[stored.window_start : len(full)].tolist()
        if not all(self._enqueue(name, blocks) for name, blocks in self._files(stored, full, window)):
            return False
        self._submit(self._settle, stored.files)
        return True

    def _stored(self, keys: list[bytes], ids: NDArray[np.int32], position: int) -> Stored:
        start, whole = first_visible(position, self._sliding_window) // BLOCK, position // BLOCK
        names = [f"{i * BLOCK:08d}-{keys[i].hex()}" for i in range(1, whole + 1)]
        return Stored(
            position,
            start,
            tuple(name + FULL for name in names),
            tuple(name + WINDOW for name in names[start:]),
            f"{position:08d}-{prefix_key(keys, ids, position).hex()}{SNAPSHOT}",
        )

    def _files(self, stored: Stored, full: Row[int], window: Row[int]) -> list[_File]:
        """The prefix's files and the pool blocks they hold: all of `full`, and `window` from its start on."""
        files: list[_File] = [
            *((name, [("full", block)]) for name, block in zip(stored.blocks, full, strict=False)),
            *((name, [("window", block)]) for name, block in zip(stored.window, window, strict=False)),
        ]
        rest: list[_Block] = [("full", block) for block in full[len(stored.blocks) :]]
        rest.extend(("window", block) for block in window[len(stored.window) :])
        return [*files, (stored.snapshot, rest)]

    def _arrays(self, blocks: Row[_Block]) -> list[NDArray[Any]]:
        return [array for group, block in blocks for array in self._views(group, block)]

    def _enqueue(self, name: str, blocks: Row[_Block]) -> bool:
        """Copy blocks for the writer unless the file is there or under way; False where there is no room."""
        if name in self._queued or self._folder.has(name):
            return True
        views = self._arrays(blocks)
        size = sum(view.nbytes for view in views)
        with self._lock:
            if self._queued_bytes + size > _QUEUE_BYTES:
                return False
            self._queued.add(name)
            self._queued_bytes += size
        self._submit(self._write, name, [view.copy() for view in views], size)
        return True

    def _submit(self, work: Callable[..., None], *args: object) -> None:
        with suppress(RuntimeError):  # likewise
            self._writer.submit(work, *args)

    def _read(self, task: _File) -> bool:
        name, blocks = task
        if block_file.read(self._folder.path / name, self._arrays(blocks)):
            return True
        self._folder.discard(name)
        return False

    # On the writer's thread.

    def _write(self, name: str, copies: list[NDArray[Any]], size: int) -> None:
        try:
            if not self._stopped:
                self._folder.create()  # somebody may have removed it, to be rid of what it held
                self.stored_bytes += block_file.write(self._folder.path / name, copies)
        except OSError as error:
            self._stop(error)
        finally:
            with self._lock:
                self._queued.discard(name)
                self._queued_bytes -= size

    def _settle(self, files: Row[str]) -> None:
        """After a snapshot: its files are as recent as it is, and the folder is within its limit."""
        self._folder.touch(files)
        try:
            self._folder.create()
            self._folder.trim()
        except OSError as error:
            self._stop(error)

    def _stop(self, error: OSError) -> None:
        """Computing is possible without a disk: say so once, and store no more."""
        if not self._stopped:
            self._stopped = True
            warnings.warn(f"prefixes are no longer stored: {error}", RuntimeWarning, stacklevel=2)
