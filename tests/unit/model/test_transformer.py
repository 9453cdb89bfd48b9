"""The forward pass: against transformers' stored logits, and against itself however the work is cut."""

import math
from pathlib import Path

import numpy as np
import pytest

from ossia.kernels.ops import Program
from ossia.model.batch import Batch, single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import BLOCK, KVCache, kv_kind
from ossia.model.reference import reference_forward
from ossia.model.transformer import PROGRAMS_KEPT, Transformer
from ossia.model.weights import load_weights

GOLDEN = Path(__file__).parents[2] / "golden" / "model"
NUMERICS = ["q8", "bf16", "f32"]
LENGTH = 200
IDS = np.random.default_rng(4).integers(0, 160, LENGTH).tolist()


class Tiny:
    """The tiny model's weights; `model()` gives it a fresh cache of `blocks` blocks."""

    def __init__(self, folder, numerics, kind=None):
        self.checkpoint, self.numerics = open_checkpoint(folder), numerics
        self.kind = kv_kind(numerics, kind)
        self.config = self.checkpoint.config
        self.weights = load_weights(self.checkpoint, self.config, numerics)

    def model(self, blocks=8, sequences=4):
        self.kv = KVCache(self.config, self.kind, blocks, blocks)
        return Transformer(self.config, self.weights, self.kv, self.numerics, 512, sequences, 8)


@pytest.fixture(scope="module", params=[*NUMERICS, "q8 with int8"])
def tiny(request, tiny_folder):
    numerics, _, kind = request.param.partition(" with ")
    return Tiny(tiny_folder, numerics, kind or None)


@pytest.fixture(scope="module")
def whole(tiny):
    """Logits of every position, computed as one chunk."""
    return tiny.model().forward(single_sequence(IDS, all_logits=True)).copy()


def in_chunks(model, sizes):
    start, parts = 0, []
    for size in sizes:
        parts.append(model.forward(single_sequence(IDS[start : start + size], start, all_logits=True)).copy())
        start += size
    return np.concatenate(parts)


@pytest.mark.parametrize("folder", [GOLDEN], ids=["golden"])
def test_f32_equals_the_stored_logits_of_transformers(folder):
    expected = np.load(folder / "expected.npz")
    model = Tiny(folder, "f32").model()
    ours = model.forward(single_sequence(expected["ids"].tolist(), all_logits=True))
    # The bound derived in tests/oracle/test_model_logits.py, for 2 layers.
    rms = 4 * 2.0**-24 / math.sqrt(3) * math.sqrt(128) * math.sqrt(2 * 5) * expected["logits"].std()
    error = np.abs(ours - expected["logits"])
    assert math.sqrt((error**2).mean()) <= rms
    assert error.max() <= 10 * rms


def test_the_reference_equals_the_stored_logits_of_transformers():
    expected = np.load(GOLDEN / "expected.npz")
    ours = reference_forward(open_checkpoint(GOLDEN), expected["ids"].tolist())
    assert np.abs(ours.logits - expected["logits"]).max() < 5e-5


def test_a_token_at_a_time_is_one_chunk_bit_for_bit(tiny, whole):
    assert (in_chunks(tiny.model(), [1] * LENGTH) == whole).all()


@pytest.mark.parametrize("seed", range(3))
def test_any_chunks_are_one_chunk_bit_for_bit(tiny, whole, seed):
    rng = np.random.default_rng(seed)
    cuts = np.sort(rng.choice(np.arange(1, LENGTH), rng.integers(1, 30), replace=False))
    assert (in_chunks(tiny.model(), np.diff([0, *cuts, LENGTH])) == whole).all()


def test_company_and_place_do_not_change_a_bit(tiny, whole):
    """Three sequences interleaved in one batch, their blocks scattered, old window blocks let go."""
    model = tiny.model(blocks=14)
    junk = np.random.default_rng(9)
    for layer in tiny.kv.layers:  # blocks come from other sequences, and look like it
        layer.k[:] = junk.integers(0, 0x4000, layer.k.shape)
        layer.v[:] = junk.integers(0, 0x4000, layer.v.shape)
    blocks = junk.permutation(14)
    full = [blocks[:4], blocks[4:8], blocks[8:12]]
    window = [np.roll(b, 1) for b in full]
    done = [0, 0, 0]
    parts = []
    for sizes in ([50, 7, 1], [1, 64, 100], [100, 1, 30], [49, 128, 69]):
        parts.append((model.forward(joint_batch(sizes, done, full, window)).copy(), list(sizes)))
        done = [d + s for d, s in zip(done, sizes, strict=True)]
    for row in range(3):
        mine = [logits[sum(sizes[:row]) : sum(sizes[: row + 1])] for logits, sizes in parts]
        assert (np.concatenate(mine) == whole).all()


def joint_batch(sizes, done, full, window):
    positions = [np.arange(d, d + s) for d, s in zip(done, sizes, strict=True)]

    def slots(tables):
        return np.concatenate(
            [t[p // BLOCK] * BLOCK + p % BLOCK for t, p in zip(tables, positions, strict=True)]
        )

    let_go = [np.where(np.arange(4) < (d - 16) // BLOCK, -1, w) for d, w in zip(done, window, strict=True)]
    at = np.concatenate(positions)
    arrays = [
        np.array(IDS)[at], at, np.repeat(np.arange(3), sizes), slots(full), slots(window),
        np.stack(full), np.stack(let_go), np.arange(sum(sizes)),
    ]  # fmt: skip
    return Batch(*(np.ascontiguousarray(a, np.int32) for a in arrays))


def test_logits_are_computed_only_where_they_are_wanted(tiny, whole):
    model = tiny.model()
    batch = single_sequence(IDS)
    assert (model.forward(batch) == whole[-1:]).all()
    wanted = np.array([150, 3], np.int32)
    some = Batch(**{f: getattr(batch, f) for f in Batch.__slots__ if f != "logit_rows"}, logit_rows=wanted)
    assert (model.forward(some) == whole[wanted]).all()
    none = Batch(
        **{f: getattr(batch, f) for f in Batch.__slots__ if f != "logit_rows"}, logit_rows=wanted[:0]
    )
    assert model.forward(none).shape == (0, 160)


def test_f32_follows_the_reference_and_its_routing(tiny_folder):
    tiny = Tiny(tiny_folder, "f32")
    model = tiny.model()
    ours = model.forward(single_sequence(IDS, all_logits=True))
    reference = reference_forward(tiny.checkpoint, IDS)
    assert np.abs(ours - reference.logits).max() < 5e-5
    assert (model.routing(LENGTH) == reference.experts).all()


def test_the_fixture_exercises_what_it_should(tiny_folder):
    experts = reference_forward(open_checkpoint(tiny_folder), IDS).experts
    assert (np.bincount(experts.ravel(), minlength=8) > 0.02 * experts.size).all()


def test_one_native_call_per_forward_and_nothing_recorded_twice(tiny_folder, monkeypatch):
    model = Tiny(tiny_folder, "q8").model()
    calls = {"run": 0, "made": 0}
    run, init = Program.run, Program.__init__

    def counted_run(self):
        calls["run"] += 1
        run(self)

    def counted_init(self):
        calls["made"] += 1
        init(self)

    monkeypatch.setattr(Program, "run", counted_run)
    monkeypatch.setattr(Program, "__init__", counted_init)
    model.forward(single_sequence(IDS[:10]))
    for i in range(10, 30):
        model.forward(single_sequence(IDS[i : i + 1], i))
    assert calls == {"run": 21, "made": 2}


def test_old_programs_are_dropped(tiny_folder):
    model = Tiny(tiny_folder, "q8").model()
    for t in range(1, PROGRAMS_KEPT + 10):
        model.forward(single_sequence(IDS[:t]))
    assert len(model._programs) == PROGRAMS_KEPT


def test_a_batch_beyond_the_buffers_is_our_fault(tiny_folder):
    model = Tiny(tiny_folder, "q8").model()
    with pytest.raises(AssertionError, match="513 tokens in a batch of at most 512"):
        model.forward(single_sequence([1] * 513))
    with pytest.raises(AssertionError, match="tables of 9 blocks, at most 8"):
        model.forward(single_sequence([1], 8 * BLOCK))


def test_a_copy_stays_in_its_group(tiny_folder):
    tiny = Tiny(tiny_folder, "q8")
    tiny.model(blocks=3).forward(single_sequence(IDS[:20]))
    before = [(layer.k.copy(), layer.v.copy()) for layer in tiny.kv.layers]
    tiny.kv.copy_block("window", 0, 2)
    for layer, (k, v), kind in zip(tiny.kv.layers, before, tiny.config.layer_types, strict=True):
        moved = kind == "sliding_attention"
        assert (layer.k[2] == (k[0] if moved else k[2])).all()
        assert (layer.v[2] == (v[0] if moved else v[2])).all()
        assert k[0].any()


def test_copied_blocks_carry_on_alike(tiny, whole):
    model = tiny.model(blocks=10)
    model.forward(single_sequence(IDS[:100]))
    for group in ("full", "window"):
        tiny.kv.copy_block(group, 0, 7)
        tiny.kv.copy_block(group, 1, 5)
    batch = single_sequence(IDS[100:120], 100, all_logits=True)
    table = np.array([[7, 5]], np.int32)
    slots = 5 * BLOCK + batch.positions - BLOCK
    moved = Batch(batch.token_ids, batch.positions, batch.rows, slots, slots, table, table, batch.logit_rows)
    assert (model.forward(moved) == whole[100:120]).all()
