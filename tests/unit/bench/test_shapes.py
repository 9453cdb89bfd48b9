"""Shapes are the published ones."""

import pytest

from ossia.bench.make import plan_shards, stored_bytes
from ossia.bench.shapes import SHAPES, shape_named
from ossia.errors import InputError
from ossia.model.plan import count_parameters


@pytest.mark.parametrize(
    ("name", "total", "active", "size_bytes", "tensors"),
    [
        ("20b", 20_914_757_184, 3_608_307_264, 13_761_264_768, 459),
        ("120b", 116_829_156_672, 5_132_849_472, 65_248_815_744, 687),
    ],
)
def test_parameters_and_bytes_are_the_model_cards(
    name: str, total: int, active: int, size_bytes: int, tensors: int
) -> None:
    shape = shape_named(name)
    counted = count_parameters(shape.config)
    assert (counted.total, counted.active) == (total, active)
    places = [place for shard in plan_shards(shape) for place in shard.places]
    assert sum(map(stored_bytes, places)) == size_bytes
    assert len(places) == tensors


@pytest.mark.parametrize("name", SHAPES)
def test_fewer_layers_keep_their_kinds(name: str) -> None:
    whole, part = shape_named(name), shape_named(name, 1)
    assert part.config.layer_types == whole.config.layer_types[:1] == ("sliding_attention",)
    assert part.name == f"{name}-1-layers"
    assert part.raw["ossia_synthetic"] is True
    assert part.config.eos_token_ids


def test_a_shape_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="no shape is called '7b'") as caught:
        shape_named("7b")
    assert caught.value.limit == SHAPES
    with pytest.raises(InputError, match="0 layers"):
        shape_named("20b", 0)
