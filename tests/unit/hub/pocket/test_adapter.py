"""The adapter that ships with Ossia."""

from importlib.resources import files

import numpy as np
import pytest

from ossia.errors import CheckpointError
from ossia.hub.pocket.adapter import packaged_adapter, parse_adapter
from ossia.hub.pocket.safetensors_file import Stored, encode_tensors
from ossia.hub.pocket.vocabulary import MARKER_IDS

LAYERS, HIDDEN, INNER = 30, 576, 1536


def test_low_rank_factors_multiply_to_what_is_added() -> None:
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((4, 2), np.float32)
    data = encode_tensors(
        {"layers.0.q.lora_a": Stored.of(a, "BF16"), "layers.0.q.lora_b": Stored.of(b, "BF16")}
    )
    assert np.array_equal(parse_adapter(data).added(0, "q"), b @ a)


def test_what_is_no_adapter_is_refused() -> None:
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        parse_adapter(b"nonsense")


def test_the_packaged_adapter_fits_the_base() -> None:
    adapter = packaged_adapter()
    assert adapter is not None, "the package ships an adapter"
    shapes = {name: tensor.shape for name, tensor in adapter.tensors.items()}
    assert shapes["marker_embedding"] == shapes["marker_head"] == (len(MARKER_IDS), HIDDEN)
    assert shapes["channels.order"] == shapes["channels.scale"] == (LAYERS, INNER)
    for layer in range(LAYERS):
        order = np.sort(adapter.channels.order[layer])
        assert np.array_equal(order, np.arange(INNER)), "every channel once"
        for name, rows, columns in (
            ("q", 576, 576),
            ("k", 192, 576),
            ("gate", 1536, 576),
            ("down", 576, 1536),
        ):
            assert adapter.added(layer, name).shape == (rows, columns)
            assert shapes[f"layers.{layer}.{name}.bias"] == (rows,)
    assert all(np.isfinite(tensor).all() for tensor in adapter.tensors.values())
    assert (adapter.channels.scale > 0).all()


def test_the_packaged_adapter_is_under_twelve_megabytes() -> None:

    size = len((files("ossia.hub.pocket") / "data" / "adapter.safetensors").read_bytes())
    assert size < 12_000_000
