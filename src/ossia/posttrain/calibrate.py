"""Finds the scale and the order of the feed-forward channels, so that clamp and MXFP4 cost little.

Scale: gpt-oss clamps `up` to ±7 (after its bias of −1). `up` is linear, so a channel whose values on the
base's own text go further is scaled down, and its down column up: exact. Order: channels are sorted by the
size of their down column, so that the 32 that share an MXFP4 scale are alike: exact too.
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ossia.hub.pocket.layout import Base, Channels
from ossia.posttrain.network import Network

_LOWEST, _HIGHEST = -5.5, 7.5  # up may go from −6 to 8; a little room for text not seen here


@torch.inference_mode()
def find_channels(base: Base, texts: Iterable[NDArray[np.int32]]) -> Channels:
    """Scale and order from the base's activations on `texts` (token ids of any lengths)."""
    network = Network(base, swiglu_limit=None)
    low = torch.zeros(base.num_layers, base.intermediate_size)
    high = torch.zeros(base.num_layers, base.intermediate_size)
    for index, block in enumerate(network.blocks):
        block.get_submodule("up").register_forward_hook(_watch(low[index], high[index]))
    for ids in texts:
        network.hidden(torch.from_numpy(ids.astype(np.int64))[None])
    scale = torch.minimum(_LOWEST / low.clamp_max(_LOWEST), _HIGHEST / high.clamp_min(_HIGHEST)).numpy()
    order = np.stack([_order(base, layer, scale[layer]) for layer in range(base.num_layers)])
    return Channels(order, np.take_along_axis(scale, order, axis=1).astype(np.float32))


def _watch(low: Tensor, high: Tensor):
    def hook(_module: object, _inputs: object, output: Tensor) -> None:
        rows = output.flatten(0, -2).float()
        torch.minimum(low, rows.amin(dim=0), out=low)
        torch.maximum(high, rows.amax(dim=0), out=high)

    return hook


def _order(base: Base, layer: int, scale: NDArray[np.float32]) -> NDArray[np.intp]:
    columns = np.abs(base.projection(layer, "down")).max(axis=0) / scale
    return np.argsort(-columns, kind="stable")
