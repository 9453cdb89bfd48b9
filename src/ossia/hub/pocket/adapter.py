"""Pocket's adapter: what Ossia trained, added to the converted base.

One safetensors file in the package. Per layer and linear layer, `lora_a` (16, in), `lora_b` (out, 16) and
`bias` (out); norms, the rows of the 14 marker tokens in embedding and head, and the feed-forward channels'
order and scale.
"""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.hub.pocket.layout import Channels
from ossia.hub.pocket.safetensors_file import read_tensors

ADAPTER_FILE = "adapter.safetensors"


@dataclass(frozen=True, slots=True)
class Adapter:
    """The adapter's tensors by name, float32 (the channels' order int16)."""

    tensors: dict[str, NDArray[Any]]

    @property
    def channels(self) -> Channels:
        return Channels(self.tensors["channels.order"].astype(np.intp), self.tensors["channels.scale"])

    def added(self, layer: int, projection: str) -> NDArray[np.float32]:
        """What is added to a linear layer's weight: (out, in)."""
        prefix = f"layers.{layer}.{projection}"
        return self.tensors[f"{prefix}.lora_b"] @ self.tensors[f"{prefix}.lora_a"]

    def get(self, name: str) -> NDArray[np.float32]:
        return self.tensors[name]


def parse_adapter(data: bytes) -> Adapter:
    """The adapter in `data`; raises CheckpointError for what is not one."""
    return Adapter(read_tensors(data))


def packaged_adapter() -> Adapter | None:
    """The adapter in this package; None where it was built without one."""
    path = files("ossia.hub.pocket") / "data" / ADAPTER_FILE
    return parse_adapter(path.read_bytes()) if path.is_file() else None
