"""Keys and values of all layers, in two groups of paged blocks.

Full-attention layers keep every position of a sequence; sliding ones only what their window can still see.
So there are two pools of blocks, each with its own numbering: block b of a group is block b in every layer of
that group. Which sequence owns which block is the engine's business.
"""

from typing import Any, Literal

from numpy.typing import NDArray

from ossia.kernels.tensors import TILE, KVLayer
from ossia.model.config import ModelConfig
from ossia.settings import KVKind, Numerics

Group = Literal["full", "window"]

BLOCK = TILE
"""Positions of a block: one tile of the attention kernels."""

_HEAD_BYTES = {"f32": (4, 0), "bf16": (2, 0), "int8": (1, 2)}  # of a value, and of the scale of a position


def kv_kind(numerics: Numerics, wanted: KVKind | None = None) -> KVKind:
    """What K and V are kept as: `wanted`, or else 32 bits under f32 and 16 bits under the others."""
    return wanted or ("f32" if numerics == "f32" else "bf16")


def layer_group(config: ModelConfig, layer: int) -> Group:
    """The group a layer's keys and values belong to."""
    return "window" if config.layer_types[layer] == "sliding_attention" else "full"


def position_bytes(config: ModelConfig, kind: KVKind) -> int:
    """Bytes of one position's K and V in one layer."""
    value, scale = _HEAD_BYTES[kind]
    return 2 * config.num_key_value_heads * (config.head_dim * value + scale)


def block_bytes(config: ModelConfig, kind: KVKind, group: Group) -> int:
    """Bytes of one block of a group: K and V of BLOCK positions in all of its layers."""
    layers = sum(layer_group(config, i) == group for i in range(config.num_hidden_layers))
    return layers * BLOCK * position_bytes(config, kind)


class KVCache:
    """`layers[i]` holds layer i's K and V in the blocks of its group. Memory is zeroed, and taken from the
    system only when a block is first written."""

    def __init__(self, config: ModelConfig, kind: KVKind, full_blocks: int, window_blocks: int) -> None:
        self.blocks: dict[Group, int] = {"full": full_blocks, "window": window_blocks}
        self._groups: list[Group] = [layer_group(config, i) for i in range(config.num_hidden_layers)]
        heads, dim = config.num_key_value_heads, config.head_dim
        self.layers: list[KVLayer] = [
            KVLayer.empty(self.blocks[group], heads, dim, kind) for group in self._groups
        ]

    def copy_block(self, group: Group, src: int, dst: int) -> None:
        """Copy block `src` to `dst` in every layer of the group."""
        for layer, its_group in zip(self.layers, self._groups, strict=True):
            if its_group == group:
                layer.k[dst] = layer.k[src]
                layer.v[dst] = layer.v[src]

    def views(self, group: Group, block: int) -> list[NDArray[Any]]:
        """K and V of one block in every layer of the group, as they lie there, not copied."""
        layers = [layer for layer, its in zip(self.layers, self._groups, strict=True) if its == group]
        return [stored[block] for layer in layers for stored in (layer.k, layer.v)]
