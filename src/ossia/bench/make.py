"""Writes a synthetic checkpoint as a published one lies on the disk: config.json, shards, an index.

One shard after another, each into a temporary file that is flushed and renamed, so that an interrupted
making is taken up where it was: a shard that is there with the right hash stays. config.json comes last;
until then no one takes the folder for a model.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ossia.bench.random_weights import PIECE_BYTES, Recipe, Routing, piece, piece_count
from ossia.bench.shapes import GENERATION_CONFIG, Shape, shape_named
from ossia.hub.cache import (
    digest_of,
    full_disk_is_typed,
    locked,
    require_disk,
    sweep,
    sync_folder,
    write_atomic,
)
from ossia.hub.progress import Progress, silent
from ossia.hub.verify import STAMP, read_stamp
from ossia.kernels.cpu import default_threads
from ossia.model.checkpoint.layouts import BYTES, Place, name_table
from ossia.settings import Settings, load_settings

_VERSION = "synthetic 1"  # to be raised when the bytes change
_SHARD_BYTES = 2_000_000_000
_INDEX = "model.safetensors.index.json"
_AHEAD = 4  # pieces made ahead of the writer, for each thread


@dataclass(frozen=True, slots=True)
class Made:
    """A checkpoint that is complete: where, its size, and how many bytes this call wrote."""

    path: Path
    size_bytes: int
    written_bytes: int


@dataclass(frozen=True, slots=True)
class Shard:
    """One file: its tensors in the order of their bytes, and the header before them."""

    name: str
    places: tuple[Place, ...]
    header: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.header) + sum(map(stored_bytes, self.places))


def bench_dir(settings: Settings) -> Path:
    """The folder of synthetic checkpoints."""
    return settings.cache_dir / "bench"


def folder_name(shape: Shape, routing: Routing) -> str:
    """What a checkpoint's folder is called: the shape, and its routing where that is not uniform."""
    return shape.name if routing == "uniform" else f"{shape.name}-{routing}"


def make_checkpoint(
    shape: str,
    *,
    layers: int | None = None,
    seed: int = 0,
    routing: Routing = "uniform",
    progress: Progress = silent,
    settings: Settings | None = None,
) -> Made:
    """Write (or complete) random weights of `shape` under ``<cache>/bench``; equal calls give equal bytes.

    `layers` instead of the shape's own number. Under `routing` "zipf" some experts are wanted much more than
    others. Interrupted at any point, the next call goes on. Raises InputError, DiskSpaceError.
    """
    settings = settings or load_settings()
    wanted, recipe = shape_named(shape, layers), Recipe(seed, routing)
    name = folder_name(wanted, routing)
    folder = bench_dir(settings) / name
    with locked(settings, f"bench-{name}", progress=progress):
        return _make(folder, wanted, recipe, progress)


def _make(folder: Path, shape: Shape, recipe: Recipe, progress: Progress) -> Made:
    shards = plan_shards(shape)
    version = f"{_VERSION} {shape.name} {recipe.routing} seed {recipe.seed}"
    total = sum(shard.size_bytes for shard in shards)
    folder.mkdir(parents=True, exist_ok=True)
    if _is_complete(folder, version, shards):
        return Made(folder, total, 0)
    for file in (folder / "config.json", *(folder / shard.name for shard in shards)):
        sweep(file)
    (folder / "config.json").unlink(missing_ok=True)
    kept = _kept(folder, version, shards, progress)
    done = sum(shard.size_bytes for shard in shards if shard.name in kept)
    require_disk(folder, total - done, f"a synthetic {shape.name}")
    written, what = total - done, f"making {folder.name}"
    for shard in shards:
        if shard.name not in kept:
            with full_disk_is_typed(folder, shard.name):
                kept[shard.name] = _write_shard(
                    folder, shard, recipe, partial(_count, progress, what, done, total)
                )
            done += shard.size_bytes
            _write_stamp(folder, version, kept)
    _write_small_files(folder, shape, shards, version, kept)
    return Made(folder, total, written)


def _count(progress: Progress, what: str, before: int, total: int, done: int) -> None:
    progress(what, before + done, total)


def plan_shards(shape: Shape) -> list[Shard]:
    """Files of about two gigabytes: the two ends of the model first, then whole layers."""
    places = name_table(shape.config, "hf")
    of_layers: dict[int, list[Place]] = {}
    ends: list[Place] = []
    for name, place in places.items():
        parts = name.split(".")
        (of_layers.setdefault(int(parts[2]), []) if parts[1] == "layers" else ends).append(place)
    layer_bytes = sum(map(stored_bytes, of_layers[0]))
    each = max(1, _SHARD_BYTES // layer_bytes)
    layers = list(of_layers.values())
    starts = range(0, len(layers), each)
    groups = [ends, *([place for layer in layers[i : i + each] for place in layer] for i in starts)]
    last = len(groups) - 1
    return [_shard(f"model-{i:05d}-of-{last:05d}.safetensors", group) for i, group in enumerate(groups)]


def stored_bytes(place: Place) -> int:
    """Bytes of a tensor in the file."""
    return int(np.prod(place.shape, dtype=np.int64)) * (1 if _dtype(place) == "U8" else 2)


def _dtype(place: Place) -> str:
    return "U8" if place.dtypes == BYTES else "BF16"


def _shard(name: str, places: list[Place]) -> Shard:
    """Wider types first, then by name, as safetensors' own writer sorts."""
    ordered = tuple(sorted(places, key=lambda p: (_dtype(p) == "U8", p.stored)))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for place in ordered:
        begin, end = end, end + stored_bytes(place)
        header[place.stored] = {
            "dtype": _dtype(place), "shape": list(place.shape), "data_offsets": [begin, end]
        }  # fmt: skip
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return Shard(name, ordered, len(text).to_bytes(8, "little") + text)


def _write_shard(folder: Path, shard: Shard, recipe: Recipe, progress: Callable[[int], None]) -> str:
    """Write one shard whole and return its SHA-256."""
    temporary = folder / f".{shard.name}.part.tmp"
    state = hashlib.sha256(shard.header)
    size = len(shard.header)
    try:
        with temporary.open("wb") as file, _made_ahead(shard, recipe) as pieces:
            file.write(shard.header)
            for data in pieces:
                state.update(data.data)
                file.write(data.data)
                size += data.size
                progress(size)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(folder / shard.name)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(folder)
    return state.hexdigest()


@contextmanager
def _made_ahead(shard: Shard, recipe: Recipe) -> Generator[Iterator[NDArray[np.uint8]]]:
    """The shard's pieces in order, made by a few threads some way ahead of whoever takes them."""
    threads = default_threads()
    pool = ThreadPoolExecutor(threads)

    def jobs() -> Iterator[Future[NDArray[np.uint8]]]:
        for place in shard.places:
            size = stored_bytes(place)
            for index in range(piece_count(size)):
                yield pool.submit(piece, place, _dtype(place), size, index, recipe)

    def pieces() -> Iterator[NDArray[np.uint8]]:
        waiting: deque[Future[NDArray[np.uint8]]] = deque()
        for job in jobs():
            waiting.append(job)
            if len(waiting) > threads * _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    try:
        yield pieces()
    finally:
        pool.shutdown(cancel_futures=True)


def _kept(folder: Path, version: str, shards: list[Shard], progress: Progress) -> dict[str, str]:
    """Shards of an earlier, unfinished making that are whole, with their hashes; any other is removed."""
    stamp = read_stamp(folder)
    known = stamp.files if stamp is not None and stamp.version == version else {}
    kept: dict[str, str] = {}
    for shard in shards:
        path = folder / shard.name
        if not path.is_file():
            continue
        expected = known.get(shard.name)
        sized = path.stat().st_size == shard.size_bytes
        if expected and sized and digest_of(path, expected, progress=progress) == expected:
            kept[shard.name] = expected
        else:
            path.unlink()
    _remove_strangers(folder, shards)
    return kept


def _remove_strangers(folder: Path, shards: list[Shard]) -> None:
    """Shards of another division of the same model: with them the folder would be no model."""
    names = {shard.name for shard in shards}
    for path in folder.glob("*.safetensors"):
        if path.name not in names:
            path.unlink()


def _is_complete(folder: Path, version: str, shards: list[Shard]) -> bool:
    stamp = read_stamp(folder)
    if stamp is None or stamp.version != version or "config.json" not in stamp.files:
        return False
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
    return all(name in sizes for name in stamp.files) and all(
        sizes.get(shard.name) == shard.size_bytes for shard in shards
    )


def _write_small_files(
    folder: Path, shape: Shape, shards: list[Shard], version: str, kept: dict[str, str]
) -> None:
    index = {
        "metadata": {"total_size": sum(stored_bytes(p) for shard in shards for p in shard.places)},
        "weight_map": {p.stored: shard.name for shard in shards for p in shard.places},
    }
    files: dict[str, object] = {
        _INDEX: index,
        "generation_config.json": GENERATION_CONFIG,
        "config.json": shape.raw,
    }
    hashes = dict(kept)
    for name, value in files.items():
        data = json.dumps(value, indent=2).encode() + b"\n"
        hashes[name] = hashlib.sha256(data).hexdigest()
        if name == "config.json":
            _write_stamp(folder, version, hashes)
        write_atomic(folder / name, data, mode=0o644)


def _write_stamp(folder: Path, version: str, files: dict[str, str]) -> None:
    text = json.dumps({"version": version, "files": cast(dict[str, Any], files)}, indent=1)
    write_atomic(folder / STAMP, text.encode() + b"\n", mode=0o644)


assert PIECE_BYTES % 8 == 0, "a piece must hold whole elements"
