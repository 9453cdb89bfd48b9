"""Keys and values of all layers, in two groups of paged blocks.

Full-attention layers keep every position of a sequence; sliding ones only what their window can still see.
So there are two pools of blocks, each with its own numbering: block b of a group is block b in every layer of
that group. Which sequence owns which block is the engine's business.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ossia.kernels.tensors import TILE, KVLayer
from ossia.model.config import ModelConfig
from ossia.settings import Numerics

Group = Literal["full", "window"]

BLOCK = TILE
"""Positions of a block: one tile of the attention kernels."""

_ITEM_BYTES = {"q8": 2, "bf16": 2, "f32": 4}


def layer_group(config: ModelConfig, layer: int) -> Group:
    """The group a layer's keys and values belong to."""
    return "window" if config.layer_types[layer] == "sliding_attention" else "full"


def block_bytes(config: ModelConfig, numerics: Numerics, group: Group) -> int:
    """Bytes of one block of a group: K and V of BLOCK positions in all of its layers."""
    layers = sum(layer_group(config, i) == group for i in range(config.num_hidden_layers))
    values = 2 * BLOCK * config.num_key_value_heads * config.head_dim
    return layers * values * _ITEM_BYTES[numerics]


class KVCache:
    """`layers[i]` holds layer i's K and V, each (blocks of its group, Hkv, BLOCK, D): bf16's bits, or float32
    under f32. Memory is zeroed, and taken from the system only when a block is first written."""

    def __init__(self, config: ModelConfig, numerics: Numerics, full_blocks: int, window_blocks: int) -> None:
        self.blocks: dict[Group, int] = {"full": full_blocks, "window": window_blocks}
        self._groups: list[Group] = [layer_group(config, i) for i in range(config.num_hidden_layers)]
        dtype = np.float32 if numerics == "f32" else np.uint16

        def empty(group: Group) -> KVLayer:
            shape = (self.blocks[group], config.num_key_value_heads, BLOCK, config.head_dim)
            return KVLayer(np.zeros(shape, dtype), np.zeros(shape, dtype))

        self.layers: list[KVLayer] = [empty(group) for group in self._groups]

    def copy_block(self, group: Group, src: int, dst: int) -> None:
        """Copy block `src` to `dst` in every layer of the group."""
        for layer, its_group in zip(self.layers, self._groups, strict=True):
            if its_group == group:
                layer.k[dst] = layer.k[src]
                layer.v[dst] = layer.v[src]

    def views(self, group: Group, block: int) -> list[NDArray[Any]]:
        """K and V of one block in every layer of the group, each (Hkv, BLOCK, D), not copied."""
        layers = [layer for layer, its in zip(self.layers, self._groups, strict=True) if its == group]
        return [stored[block] for layer in layers for stored in (layer.k, layer.v)]
