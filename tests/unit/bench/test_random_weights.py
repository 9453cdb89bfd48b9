"""Random tensors: the same bytes whenever they are made, and of sane sizes."""

import numpy as np
import pytest

from ossia.bench.random_weights import PIECE_BYTES, Recipe, piece, piece_count, zipf_bias
from ossia.bench.shapes import shape_named
from ossia.kernels.tensors import bf16_to_f32
from ossia.model.checkpoint.layouts import name_table

PLACES = name_table(shape_named("tiny").config, "hf")
LAYER = "model.layers.1."


def values(name: str, recipe: Recipe | None = None) -> np.ndarray:
    place = PLACES[name]
    size = 2 * int(np.prod(place.shape))
    return bf16_to_f32(piece(place, "BF16", min(size, PIECE_BYTES), 0, recipe or Recipe()).view(np.uint16))


def test_a_piece_depends_on_seed_name_and_number_only() -> None:
    place = PLACES["lm_head.weight"]
    first = piece(place, "BF16", 3 * PIECE_BYTES, 1, Recipe())
    assert np.array_equal(first, piece(place, "BF16", 2 * PIECE_BYTES, 1, Recipe()))
    for other in (
        piece(place, "BF16", 3 * PIECE_BYTES, 2, Recipe()),
        piece(place, "BF16", 3 * PIECE_BYTES, 1, Recipe(seed=1)),
        piece(PLACES["model.embed_tokens.weight"], "BF16", 3 * PIECE_BYTES, 1, Recipe()),
    ):
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [1, 7, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES + 3])
def test_pieces_together_have_the_size_asked_for(size: int) -> None:
    place = PLACES[LAYER + "mlp.experts.down_proj_blocks"]
    made = [piece(place, "U8", size, i, Recipe()) for i in range(piece_count(size))]
    assert sum(p.size for p in made) == size
    assert all(p.size for p in made)


@pytest.mark.parametrize(
    ("name", "mean", "deviation"),
    [
        ("model.embed_tokens.weight", 0.0, 1.0),
        ("lm_head.weight", 0.0, 0.02),
        (LAYER + "self_attn.q_proj.weight", 0.0, 0.02),
        (LAYER + "input_layernorm.weight", 1.0, 0.02),
        ("model.norm.weight", 1.0, 0.02),
        (LAYER + "mlp.experts.gate_up_proj_bias", 0.0, 0.02),
        (LAYER + "self_attn.sinks", 0.0, 1.0),
    ],
)
def test_bf16_is_normal(name: str, mean: float, deviation: float) -> None:
    drawn = values(name)
    error = deviation / np.sqrt(drawn.size)
    assert abs(drawn.mean() - mean) < 5 * error + 0.004 * mean  # bf16 near 1 is coarse
    assert drawn.std() == pytest.approx(deviation, rel=0.02 + 4 / np.sqrt(drawn.size))


def test_mxfp4_scales_keep_weights_of_ordinary_size() -> None:
    place = PLACES[LAYER + "mlp.experts.gate_up_proj_scales"]
    scales = piece(place, "U8", int(np.prod(place.shape)), 0, Recipe())
    assert set(scales.tolist()) == {118, 119, 120, 121}


def test_zipf_wants_every_expert_at_its_own_rank() -> None:
    name = LAYER + "mlp.router.bias"
    bias = bf16_to_f32(zipf_bias(PLACES[name], 0))
    assert np.allclose(sorted(np.exp(-bias)), range(1, 9), rtol=0.02)
    assert np.array_equal(bias, values(name, Recipe(routing="zipf")))
    other = bf16_to_f32(zipf_bias(PLACES["model.layers.0.mlp.router.bias"], 0))
    assert not np.array_equal(bias, other)
