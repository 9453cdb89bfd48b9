import os
from dataclasses import replace

import numpy as np
import pytest

from ossia.engine.snapshots.key import block_keys, fingerprint, model_identity, prefix_key
from ossia.model.config import ModelConfig, RopeConfig

CONFIG = ModelConfig(
    hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
    num_local_experts=4, num_experts_per_tok=2, intermediate_size=64, vocab_size=160, sliding_window=16,
    layer_types=("sliding_attention", "full_attention"), max_position_embeddings=4096, rope=RopeConfig(),
)  # fmt: skip


def ids(*values):
    return np.array(values, np.int32)


def test_equal_beginnings_have_equal_keys_and_no_others():
    a, b = np.arange(200, dtype=np.int32), np.arange(200, dtype=np.int32)
    b[70] = 7
    first, second = block_keys(a), block_keys(b)
    assert len(first) == 200 // 64 + 1
    assert first[:2] == second[:2]
    assert not set(first[2:]) & set(second[2:])  # block 2's tokens are alike, what is before them is not
    assert prefix_key(first, a, 70) == prefix_key(second, b, 70)
    assert prefix_key(first, a, 71) != prefix_key(second, b, 71)
    assert prefix_key(first, a, 128) != first[2]


def test_a_key_depends_on_every_token_of_the_rest():
    keys = {prefix_key(block_keys(row), row, 3) for row in (ids(1, 2, 3), ids(1, 2, 4), ids(0, 2, 3))}
    assert len(keys) == 3


@pytest.mark.parametrize(
    "other",
    [
        ("y", CONFIG, "q8", "bf16", "avx2"),
        ("x", replace(CONFIG, rope=RopeConfig(theta=1e4)), "q8", "bf16", "avx2"),
        ("x", CONFIG, "bf16", "bf16", "avx2"),
        ("x", CONFIG, "q8", "int8", "avx2"),
        ("x", CONFIG, "q8", "bf16", "scalar"),
    ],
)
def test_fingerprints_tell_models_and_arithmetic_apart(other):
    assert fingerprint("x", CONFIG, "q8", "bf16", "avx2") == fingerprint("x", CONFIG, "q8", "bf16", "avx2")
    assert fingerprint(*other) != fingerprint("x", CONFIG, "q8", "bf16", "avx2")


def test_a_version_of_the_kernels_has_its_own_folder(monkeypatch):
    now = fingerprint("x", CONFIG, "q8", "bf16", "avx2")
    monkeypatch.setattr("ossia.engine.snapshots.key.KV_VERSION", 0)
    assert fingerprint("x", CONFIG, "q8", "bf16", "avx2") != now


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(np.random.default_rng(0).bytes(3 << 20))
    os.utime(path, ns=(5, 5))
    return path


def change(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(5, 5))


@pytest.mark.parametrize("at", [0, 1000, (1 << 20) + 5, -1])
def test_other_weights_of_the_same_size_and_time_are_another_model(weights, at):
    before = model_identity([weights])
    assert model_identity([weights]) == before
    change(weights, at)
    assert model_identity([weights]) != before


def test_a_later_change_and_another_size_are_another_model(weights):
    seen = {model_identity([weights])}
    os.utime(weights, ns=(6, 6))
    seen.add(model_identity([weights]))
    with weights.open("ab") as file:
        file.write(b"x")
    seen.add(model_identity([weights]))
    assert len(seen) == 3


def test_a_link_is_its_target_and_order_does_not_matter(weights, tmp_path):
    (tmp_path / "snapshot").mkdir()
    link = tmp_path / "snapshot" / "other-name"
    link.symlink_to(weights)
    second = tmp_path / "second"
    second.write_bytes(b"more")
    assert model_identity([link, second]) == model_identity([second, weights])
    assert model_identity([link]) != model_identity([link, second])
