"""A model whose experts stream computes the same bits, says what it read, and names what cannot be read."""

import numpy as np
import pytest

from ossia.bench.make import make_checkpoint
from ossia.errors import CheckpointError
from ossia.kernels import cpu
from ossia.model.batch import Batch
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import KVCache
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights
from ossia.settings import load_settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return make_checkpoint("tiny", layers=3, settings=load_settings({"OSSIA_HOME": str(home)})).path


def transformer(folder, slots=None):
    checkpoint = open_checkpoint(folder)
    config = checkpoint.config
    weights = load_weights(checkpoint, config, "q8", slots=slots)
    return Transformer(config, weights, KVCache(config, "bf16", 4, 4), "q8", 64, 2, 4), weights.streamed


def logits(model, ids, first=0):
    count = len(ids)
    positions = np.arange(first, first + count, dtype=np.int32)
    table = np.arange(4, dtype=np.int32)[None]
    zero = np.zeros(count, np.int32)
    last = np.array([count - 1], np.int32)
    return model.forward(
        Batch(np.asarray(ids, np.int32), positions, zero, positions, positions, table, table, last)
    ).copy()


@pytest.mark.parametrize("slots", [8, 13, 24])
@pytest.mark.parametrize("threads", [1, 2])
def test_streamed_experts_give_the_same_logits(folder, slots, threads, rng):
    cpu.configure(cpu.current().isa, threads)
    whole, none = transformer(folder)
    part, streamed = transformer(folder, slots)
    assert none is None
    prompt = rng.integers(0, 1000, 40)
    np.testing.assert_array_equal(logits(part, prompt), logits(whole, prompt))
    for at in range(40, 50):
        np.testing.assert_array_equal(logits(part, [at], at), logits(whole, [at], at))
    counts = streamed.counts
    assert counts.asked > counts.read >= 24 if slots == 24 else counts.read > 24
    assert counts.read_bytes == counts.read * sum(p.nbytes for p in _expert(folder))


def _expert(folder):
    checkpoint = open_checkpoint(folder)
    return [
        checkpoint.array(f"model.layers.0.mlp.experts.{m}_proj_{p}")[0]
        for m in ("gate_up", "down")
        for p in ("blocks", "scales")
    ]


def test_a_shard_cut_short_while_it_is_used_is_named(folder, tmp_path, rng):
    copy = tmp_path / "model"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    model, _ = transformer(copy, 8)
    shard = open_checkpoint(copy).position("model.layers.0.mlp.experts.gate_up_proj_blocks")[0]
    with (copy / shard).open("r+b") as file:
        file.truncate(8)
    with pytest.raises(CheckpointError, match=r"it ends inside model.layers.0.mlp.experts") as caught:
        model.forward(_one())
    assert shard in caught.value.message


def _one():
    zero, table = np.zeros(1, np.int32), np.arange(4, dtype=np.int32)[None]
    return Batch(np.array([5], np.int32), zero, zero, zero, zero, table, table, zero)
