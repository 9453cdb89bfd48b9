"""Positions past 4,096, where YaRN matters: against the float64 reference, with K and V of every type."""

import numpy as np
import pytest
from tiny_gptoss import CONFIG, as_stored, quantised, tiny_tensors, write_checkpoint

from ossia.model.batch import single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import BLOCK, KVCache
from ossia.model.reference import reference_forward
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights

LENGTH, CHUNK = 4288, 512
SHAPE = CONFIG | {
    "num_hidden_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"],
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_local_experts": 2,  # both are always chosen: rounding of K and V cannot change the route
    "sliding_window": 128,
    "max_position_embeddings": 131072,
    "rope_scaling": CONFIG["rope_scaling"] | {"original_max_position_embeddings": 4096},
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The checkpoint, its ids and their logits (LENGTH, V)."""
    folder = tmp_path_factory.mktemp("long")
    checkpoint = open_checkpoint(
        write_checkpoint(folder, as_stored(tiny_tensors(3, SHAPE)), quantised(SHAPE))
    )
    ids = np.random.default_rng(9).integers(0, SHAPE["vocab_size"], LENGTH).tolist()
    return checkpoint, ids, reference_forward(checkpoint, ids).logits


@pytest.mark.parametrize(("kind", "most"), [("f32", 2e-6), ("bf16", 8e-3), ("int8", 2e-2)])
def test_positions_past_4096_follow_the_reference(reference, kind, most):
    """Root mean square error beside the logits' own, and no larger than before position 4,096. f32 rounds at
    2^-24, bf16 at 2^-9 of a value, int8 at 1/254 of a head's largest; the tiny model passes on about twice
    what it is given (a wrong angle gives errors of order one)."""
    checkpoint, ids, expected = reference
    config, blocks = checkpoint.config, LENGTH // BLOCK
    kv = KVCache(config, kind, blocks, blocks)
    weights = load_weights(checkpoint, config, "f32")
    model = Transformer(config, weights, kv, "f32", CHUNK, 1, blocks)
    parts = []
    for start in range(0, LENGTH - 64, CHUNK):
        chunk = ids[start : min(start + CHUNK, LENGTH - 64)]
        parts.append(model.forward(single_sequence(chunk, start, all_logits=True)).copy())
    rest = range(LENGTH - 64, LENGTH)  # one at a time, as decoding does
    parts.extend(model.forward(single_sequence(ids[i : i + 1], i)).copy() for i in rest)
    error = np.concatenate(parts) - expected
    rms = np.sqrt((error**2).mean(axis=1)) / expected.std()
    assert rms[4096:].mean() < most
    assert rms[4096:].mean() < 1.3 * rms[1024:4096].mean()
