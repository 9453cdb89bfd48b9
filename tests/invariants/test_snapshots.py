"""Prefixes on disk: the bits they bring back, and what becomes of files that are not what was written.

On the real forward pass: whatever happens to the folder, logits and tokens are those of a cold start.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ossia.engine.snapshots import KV_VERSION, SnapshotOptions
from ossia.kernels import cpu
from ossia.model.sampling import SamplingParams

ORACLE = Path(__file__).parents[1] / "oracle"
PROMPT = np.random.default_rng(5).integers(0, 160, 500).tolist()
ANSWER = 6
# SHA-256 (its beginning) of K and V of the prompt's first five blocks in the full layers, by KV_VERSION.
KV_BITS = {
    2: {
        ("q8", "bf16"): "861b73eea8f2540e",
        ("q8", "int8"): "62d2b2925062cdde",
        ("bf16", "bf16"): "9a1066d1bf526fe6",
        ("f32", "f32"): "0d0156738642d9ab",
    }
}


@pytest.fixture
def started(engine_of, tmp_path):
    """started(numerics, identity=, size_bytes=, **options): an engine as after a restart, and its logits."""

    def start(numerics="q8", identity="tiny", size_bytes=1 << 30, **options):
        logits = []
        snapshots = SnapshotOptions(tmp_path / "kept", identity, size_bytes, least_tokens=100, spacing=64)
        options = {"snapshots": snapshots, "snapshot_every": 128} | options
        engine = engine_of(numerics, lambda _, row: logits.append(row.copy()), **options)
        return engine, logits

    return start


def answer(engine, logits, prompt=PROMPT, **params):
    """Logits (n, V) of each token of a greedy answer, the bytes of which are to be equal."""
    logits.clear()
    params = SamplingParams(max_tokens=ANSWER, temperature=0.0, **params)
    sequence = engine.submit(prompt, params)
    while engine.has_work:
        engine.step()
    engine.flush()
    return sequence.output_ids, np.array(logits)


def same(a, b):
    return a[0] == b[0] and a[1].tobytes() == b[1].tobytes()


@pytest.fixture
def cold(started):
    return answer(*started(snapshots=None, prefix_cache=False))


def files(tmp_path, suffix):
    return sorted((tmp_path / "kept").glob(f"*/*{suffix}"))


@pytest.mark.parametrize("numerics", ["q8", "bf16", "f32"])
def test_a_restart_computes_one_token_and_the_same_bits(started, numerics):
    cold = answer(*started(numerics, snapshots=None, prefix_cache=False))
    first = started(numerics)
    assert same(answer(*first), cold)
    assert first[0].stats.stored_bytes > 0
    assert same(answer(*first), cold)  # from memory
    assert first[0].stats.restored_tokens == 0
    engine, logits = started(numerics)
    assert same(answer(engine, logits), cold)  # from the disk
    stats = engine.stats
    assert (stats.restored_tokens, stats.cached_tokens) == (499, 499)
    assert stats.computed_tokens == 1 + ANSWER - 1
    assert same(answer(engine, logits), cold)  # what was restored is in memory now
    assert engine.stats.restored_tokens == 499


@pytest.mark.parametrize("chunk", [1, 7, 64, 100])
def test_chunks_change_nothing(started, cold, chunk):
    assert same(answer(*started(max_chunk=chunk)), cold)
    engine, logits = started(max_chunk=chunk)
    assert same(answer(engine, logits), cold)
    assert engine.stats.restored_tokens == 499


@pytest.mark.parametrize("alike", [130, 192, 200, 256, 300, 449])
def test_another_question_behind_the_same_beginning(started, alike):
    """The window of the sliding layers (16 tokens) reaches back over every kind of block boundary."""
    boundary = PROMPT[alike - 1]
    other = [*PROMPT[:alike], *(159 - i % 50 for i in range(40))]
    params = {"boundary_ids": frozenset({boundary})}
    answer(*started(), **params)
    engine, logits = started()
    warm = answer(engine, logits, other, **params)
    assert alike - 64 < engine.stats.restored_tokens <= alike  # snapshots lie at least 64 tokens apart
    assert same(warm, answer(*started(snapshots=None, prefix_cache=False), other))


def test_the_disk_goes_on_where_memory_ends(started, cold):
    answer(*started())
    engine, logits = started()
    short = PROMPT[:150]
    answer(engine, logits, short)  # restored up to 128, kept in memory up to 150
    blocks = engine.stats.full_blocks_free
    assert same(answer(engine, logits), cold)
    assert engine.stats.restored_tokens == 128 + 499
    assert blocks - engine.stats.full_blocks_free <= 8 - 2 + 1  # complete blocks in memory were shared


def test_a_longer_prompt_adds_only_its_own_blocks(started, tmp_path):
    answer(*started())
    before = {path: path.stat().st_ino for path in files(tmp_path, ".block")}
    longer = PROMPT + PROMPT[:200]
    answer(*started(), longer)
    after = {path: path.stat().st_ino for path in files(tmp_path, ".block")}
    assert before.items() <= after.items()
    assert len(before) == 499 // 64
    assert len(after) == 699 // 64
    engine, logits = started()
    assert same(answer(engine, logits, longer), answer(*started(snapshots=None), longer))
    assert engine.stats.restored_tokens == 699


def test_short_prompts_and_small_additions_are_not_stored(started, tmp_path):
    answer(*started(), PROMPT[:100])
    assert files(tmp_path, "") == []
    answer(*started())
    before = files(tmp_path, "")
    answer(*started(), PROMPT + PROMPT[:99])
    assert files(tmp_path, "") == before


@pytest.mark.parametrize("what", ["model", "numerics"])
def test_another_model_finds_nothing(started, what):
    answer(*started())
    engine, logits = started(identity="other") if what == "model" else started("bf16")
    answer(engine, logits)
    assert engine.stats.restored_tokens == 0


def flip(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def swap(path):
    """A whole and valid file of another prefix in this one's place."""
    other = next(p for p in path.parent.iterdir() if p.suffix == path.suffix and p != path)
    shutil.copy(other, path)


DAMAGE = {
    "flipped bit": lambda path: flip(path, path.stat().st_size // 2),
    "flipped last bit": lambda path: flip(path, -1),
    "flipped checksum": lambda path: flip(path, 20),
    "flipped magic": lambda path: flip(path, 0),
    "truncated": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "zeroes": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another's": swap,
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("suffix", [".block", ".window", ".snap"])
def test_a_broken_file_is_removed_and_computed_again(started, tmp_path, suffix, damage):
    prompt = PROMPT[:450]  # its window reaches back over the beginning of a block
    cold = answer(*started(snapshots=None), prompt)
    answer(*started(), prompt)
    victim = files(tmp_path, suffix)[-1]
    DAMAGE[damage](victim)
    broken = victim.read_bytes() if victim.exists() else None
    engine, logits = started()
    assert same(answer(engine, logits, prompt), cold)
    assert engine.stats.restored_tokens < 449
    assert engine.stats.full_blocks_in_use == engine.stats.window_blocks_in_use == 0
    assert not victim.exists() or victim.read_bytes() != broken
    engine, logits = started()
    assert same(answer(engine, logits, prompt), cold)


def test_every_broken_file_leaves_a_cold_start(started, cold, tmp_path):
    answer(*started())
    for path in files(tmp_path, ".block"):
        flip(path, 1000)
    engine, logits = started()
    assert same(answer(engine, logits), cold)
    assert engine.stats.restored_tokens == 0
    engine, logits = started()
    assert same(answer(engine, logits), cold)
    assert engine.stats.restored_tokens == 499


def test_the_folder_stays_within_its_bytes(started, tmp_path):
    answer(*started())
    whole = sum(path.stat().st_size for path in files(tmp_path, ""))
    rng = np.random.default_rng(0)
    for _ in range(4):
        prompt = rng.integers(0, 160, 500).tolist()
        answer(*started(size_bytes=whole * 3 // 2), prompt)
        assert sum(path.stat().st_size for path in files(tmp_path, "")) <= whole * 3 // 2
        engine, logits = started()
        warm = answer(engine, logits, prompt)
        assert engine.stats.restored_tokens == 499  # the newest is whole
        assert same(warm, answer(*started(snapshots=None), prompt))
    engine, logits = started()
    answer(engine, logits)
    assert engine.stats.restored_tokens == 0  # the oldest went


def test_files_are_for_their_owner_only(started, tmp_path):
    answer(*started())
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept").rglob("*") if path.is_file()} == {
        0o600
    }
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kept").rglob("*") if path.is_dir()} == {
        0o700
    }


def test_no_token_is_written(started, tmp_path):
    answer(*started())
    ids = np.array(PROMPT, np.int32).tobytes()
    for path in files(tmp_path, ""):
        assert ids[:16] not in path.read_bytes()


def test_a_full_disk_stops_the_storing_once(started, cold, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    engine, logits = started()
    with pytest.warns(RuntimeWarning, match="no longer stored") as told:
        assert same(answer(engine, logits), cold)
    answer(engine, logits, PROMPT[::-1])
    assert len(told) == 1
    monkeypatch.undo()
    engine, logits = started()
    assert same(answer(engine, logits), cold)


def test_a_folder_that_cannot_be_made_is_no_error(started, cold, tmp_path):
    (tmp_path / "kept").write_text("in the way")
    with pytest.warns(RuntimeWarning, match="no longer stored"):
        engine, logits = started()
    assert same(answer(engine, logits), cold)


def test_a_folder_that_is_removed_is_made_again(started, cold, tmp_path):
    first = started()
    answer(*first)
    shutil.rmtree(tmp_path / "kept")
    assert not same(answer(*first, PROMPT[::-1]), cold)
    engine, logits = started()
    answer(engine, logits, PROMPT[::-1])
    assert engine.stats.restored_tokens == 499


def test_a_prefix_without_room_is_restored_when_there_is_some(started, cold):
    answer(*started())
    engine, logits = started(kv_bytes=400_000, max_sequences=2)
    holder = engine.submit(PROMPT[::-1][:440], SamplingParams(max_tokens=60, temperature=0.0))
    engine.step()
    logits.clear()
    asked = engine.submit(PROMPT, SamplingParams(max_tokens=ANSWER, temperature=0.0))
    while engine.has_work:
        engine.step()
    assert holder.finish == "length"
    assert engine.stats.steps == 60 + ANSWER  # one after the other
    assert engine.stats.restored_tokens == 499
    assert asked.output_ids == cold[0]
    assert engine.stats.full_blocks_in_use == engine.stats.window_blocks_in_use == 0


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tiny_gptoss import CONFIG, as_stored, quantised, tiny_tensors, write_checkpoint
from ossia.engine import EngineOptions, build_engine
from ossia.engine.snapshots import SnapshotOptions
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import load_config
from ossia.model.sampling import SamplingParams
from ossia.model.weights import load_weights

folder = write_checkpoint(Path(sys.argv[2]), as_stored(tiny_tensors()), quantised(CONFIG))
config = load_config(folder)
kept = SnapshotOptions(Path(sys.argv[3]), "tiny", least_tokens=100, spacing=64)
options = EngineOptions(kv_bytes=4 << 20, snapshots=kept, snapshot_every=128)
engine = build_engine(config, load_weights(open_checkpoint(folder), config, "q8"), "q8", options)
engine.submit(eval(sys.argv[4]), SamplingParams(max_tokens=9))
engine.step()
print("writing", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("after", [0, 3])
def test_a_process_killed_while_it_writes(started, cold, tmp_path, after):
    """Whatever it left, the bits are right and the next start is whole."""
    (tmp_path / "model").mkdir()
    arguments = [ORACLE, tmp_path / "model", tmp_path / "kept", PROMPT]
    command = [sys.executable, "-c", KILLED, *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"writing\n"
        while len(files(tmp_path, ".block")) < after:
            time.sleep(0.0002)
        child.kill()
    engine, logits = started()
    assert same(answer(engine, logits), cold)
    engine, logits = started()
    assert same(answer(engine, logits), cold)
    assert engine.stats.restored_tokens == 499


def test_many_engines_share_a_folder(started, cold):
    """Four at once, writing the same files and trimming each other's."""
    results = []

    def work():
        results.extend([answer(*started(size_bytes=size)) for size in (1 << 30, 40_000)])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(results) == 8
    assert all(same(result, cold) for result in results)


@pytest.mark.parametrize("isa", cpu.available_isas())
@pytest.mark.parametrize(("numerics", "kind"), list(KV_BITS[KV_VERSION]))
def test_bits_that_change_raise_the_version(started, tmp_path, numerics, kind, isa):
    """Snapshots of an older Ossia must not be found by one that computes other bits."""
    before = cpu.current()
    cpu.configure(isa, before.threads)
    try:
        answer(*started(numerics, kv_cache=kind))
    finally:
        cpu.configure(before.isa, before.threads)
    payload = b"".join(path.read_bytes()[64:] for path in files(tmp_path, ".block")[:5])  # behind the head
    assert hashlib.sha256(payload).hexdigest()[:16] == KV_BITS[KV_VERSION][numerics, kind]


@pytest.mark.parametrize("seed", range(2))
def test_random_traffic_over_restarts_in_too_little_memory(started, engine_of, seed):
    rng = np.random.default_rng(seed)
    stems = [rng.integers(0, 160, 300).tolist() for _ in range(3)]
    done, restored = [], 0
    for _ in range(3):
        engine, _ = started(
            kv_bytes=400_000,
            max_batch_tokens=96,
            max_chunk=(40, 96)[seed],
            size_bytes=600_000,
            max_sequences=4,
        )
        live = []
        for _ in range(200):
            if len(live) < 6 and rng.random() < 0.3:
                prompt = stems[rng.integers(3)][: rng.integers(100, 300)] + rng.integers(0, 160, 3).tolist()
                params = SamplingParams(max_tokens=int(rng.integers(1, 40)), seed=int(rng.integers(99)))
                live.append(engine.submit(prompt, params))
            if live and rng.random() < 0.02:
                engine.preempt(live[rng.integers(len(live))])
            if live and rng.random() < 0.02:
                engine.cancel(live.pop(int(rng.integers(len(live)))))
            for out in engine.step():
                if out.token.finish:
                    live.remove(out.sequence)
                    done.append(out.sequence)
        for sequence in live:
            engine.cancel(sequence)
        engine.flush()
        stats = engine.stats
        assert (stats.full_blocks_in_use, stats.window_blocks_in_use, stats.running) == (0, 0, 0)
        restored += stats.restored_tokens
    assert restored > 1000
    assert len(done) > 20
    alone = engine_of("q8", prefix_cache=False, max_sequences=1)
    for sequence in done:
        expected = alone.submit(sequence.prompt_ids, sequence.params)
        while alone.has_work:
            alone.step()
        assert sequence.output_ids == expected.output_ids
