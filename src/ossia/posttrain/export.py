"""Writes the adapter that ships, from a training run's state.

python -m ossia.posttrain.export --run FOLDER --out src/ossia/hub/pocket/data/adapter.safetensors
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ossia.hub.cache import write_atomic
from ossia.hub.pocket.layout import Channels
from ossia.hub.pocket.safetensors_file import Stored, encode_tensors
from ossia.posttrain.network import LORA_SCALE

_RENAMED = {"attention_norm.weight": "attention_norm", "mlp_norm.weight": "mlp_norm"}
MAX_BYTES = 12_000_000


def adapter_of(state: dict[str, Tensor], channels: Channels) -> dict[str, Stored]:
    """The network's trained parameters under the adapter's names, bfloat16; LoRA's scale goes into
    `lora_b`.
    """
    found: dict[str, Stored] = {
        "channels.order": Stored.of(channels.order, "I16"),
        "channels.scale": Stored.of(channels.scale, "F32"),
    }
    for name, value in state.items():
        values: NDArray[Any] = value.float().numpy()
        if name.endswith("lora_b"):
            values = values * np.float32(LORA_SCALE)
        found[_adapter_name(name)] = Stored.of(values, "BF16")
    return found


def _adapter_name(name: str) -> str:
    if name == "final_norm.weight":
        return "final_norm"
    name = name.replace("blocks.", "layers.", 1)
    for old, new in _RENAMED.items():
        name = name.replace(old, new)
    return name


def read_run(folder: Path) -> dict[str, Stored]:
    """The adapter of the run in `folder`, as far as it has come."""
    state = torch.load(folder / "state.pt", weights_only=True)
    with np.load(folder / "channels.npz") as kept:
        channels = Channels(kept["order"], kept["scale"])
    return adapter_of(state["network"], channels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = encode_tensors(read_run(options.run))
    assert len(data) < MAX_BYTES, f"the adapter is {len(data)} bytes, the package takes {MAX_BYTES}"
    write_atomic(options.out, data, mode=0o644)
    print(f"{options.out}: {len(data)} bytes")


if __name__ == "__main__":
    main()
