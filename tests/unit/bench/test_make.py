"""Making a checkpoint: a model that loads, the same bytes each time, and never a half one."""

import json
from pathlib import Path

import numpy as np
import pytest

from ossia.bench import make
from ossia.bench.make import Made, bench_dir, make_checkpoint, plan_shards
from ossia.bench.shapes import shape_named
from ossia.errors import DiskSpaceError, HashMismatchError
from ossia.hub import cache
from ossia.hub.sources import locate
from ossia.hub.verify import check_hashes, read_stamp, verify
from ossia.model.checkpoint import open_checkpoint
from ossia.settings import Settings


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def test_what_is_made_is_a_whole_model_that_says_it_is_synthetic(made: Made, shared: Settings) -> None:
    found = locate(str(made.path), shared)
    assert found.loadable
    assert found.synthetic
    checked = verify(found)
    assert len(checked.hashed) == 5
    assert not checked.unhashed
    assert made.path == bench_dir(shared) / "tiny-1-layers"
    assert made.size_bytes == made.written_bytes == sum(path.stat().st_size for path in shards(made.path))


def test_the_index_names_the_shard_of_every_tensor(made: Made) -> None:
    index = json.loads((made.path / "model.safetensors.index.json").read_bytes())
    checkpoint = open_checkpoint(made.path)
    assert set(index["weight_map"]) == set(checkpoint.names)
    assert index["metadata"]["total_size"] == checkpoint.size_bytes
    assert sorted(set(index["weight_map"].values())) == [path.name for path in shards(made.path)]
    assert [path.name for path in shards(made.path)] == [
        "model-00000-of-00001.safetensors", "model-00001-of-00001.safetensors"
    ]  # fmt: skip


def test_shards_hold_whole_layers_and_the_same_ones_whatever_the_depth() -> None:
    part, whole = plan_shards(shape_named("20b", 4)), plan_shards(shape_named("20b"))
    assert [shard.header for shard in part] == [shard.header for shard in whole[:2]]
    assert len(whole) == 7
    assert max(shard.size_bytes for shard in whole) < 2.4e9


def test_complete_means_nothing_is_written_again(made: Made, shared: Settings) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in made.path.iterdir()}
    again = make_checkpoint("tiny", layers=1, settings=shared)
    assert again == Made(made.path, made.size_bytes, 0)
    assert {path.name: path.stat().st_mtime_ns for path in made.path.iterdir()} == before


def interrupt_in_shard(number: int, settings: Settings) -> Path:
    """Begin the same model as `made`, and press Ctrl-C while shard `number` is written."""
    first = plan_shards(shape_named("tiny", 1))[0].size_bytes

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith("making") and done > number * first:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_checkpoint("tiny", layers=1, progress=progress, settings=settings)
    return bench_dir(settings) / "tiny-1-layers"


def test_interrupted_it_keeps_whole_shards_and_goes_on(made: Made, settings: Settings) -> None:
    folder = interrupt_in_shard(1, settings)
    assert sorted(path.name for path in folder.iterdir()) == [
        "model-00000-of-00001.safetensors",
        "ossia.json",
    ]
    assert not locate(str(folder), settings).complete
    kept = shards(folder)[0].stat().st_ino
    finished = make_checkpoint("tiny", layers=1, settings=settings)
    assert shards(folder)[0].stat().st_ino == kept
    assert 0 < finished.written_bytes < finished.size_bytes
    assert read_stamp(folder) == read_stamp(made.path)
    assert check_hashes(folder)[1] == ()


def test_interrupted_in_the_first_shard_it_leaves_no_part_behind(settings: Settings) -> None:
    folder = interrupt_in_shard(0, settings)
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_a_damaged_shard_written_anew(
    made: Made, settings: Settings
) -> None:
    folder = interrupt_in_shard(1, settings)
    part = folder / ".model-00001-of-00001.safetensors.part.tmp"
    part.write_bytes(b"half")
    stranger = folder / "model-00000-of-00009.safetensors"
    stranger.write_bytes(b"of another division")
    with shards(folder)[0].open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\xff")
    finished = make_checkpoint("tiny", layers=1, settings=settings)
    assert finished.written_bytes == finished.size_bytes
    assert not part.exists()
    assert not stranger.exists()
    assert check_hashes(folder)[1] == ()


def test_damage_after_the_making_is_found_by_verify(settings: Settings) -> None:
    folder = make_checkpoint("tiny", layers=1, settings=settings).path
    with shards(folder)[1].open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(HashMismatchError):
        check_hashes(folder)


def test_the_disk_is_checked_before_anything_is_written(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "free_bytes", lambda _: 13_000_000_000)
    with pytest.raises(DiskSpaceError, match=r"a synthetic 20b needs 13\.8 GB"):
        make_checkpoint("20b", settings=settings)
    assert list((bench_dir(settings) / "20b").iterdir()) == []


def test_a_disk_that_fills_up_is_said_and_leaves_no_part(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(make.os, "fsync", full)
    with pytest.raises(DiskSpaceError, match="filled up"):
        make_checkpoint("tiny", layers=1, settings=settings)
    assert list((bench_dir(settings) / "tiny-1-layers").iterdir()) == []


def test_another_seed_replaces_and_another_routing_stands_beside(made: Made, settings: Settings) -> None:
    first = make_checkpoint("tiny", layers=1, seed=1, settings=settings)
    zipf = make_checkpoint("tiny", layers=1, routing="zipf", settings=settings)
    assert zipf.path.name == "tiny-1-layers-zipf"
    bias = "model.layers.0.mlp.router.bias"
    assert not np.array_equal(open_checkpoint(zipf.path).array(bias), open_checkpoint(made.path).array(bias))
    stamp = read_stamp(first.path)
    assert stamp != read_stamp(made.path)
    again = make_checkpoint("tiny", layers=1, settings=settings)
    assert again.written_bytes == again.size_bytes
    assert read_stamp(again.path) == read_stamp(made.path)
