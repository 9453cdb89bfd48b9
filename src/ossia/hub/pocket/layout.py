"""The base in converted form: Llama's weights arranged so that gpt-oss's formulas compute the same.

GGUF stores q and k with interleaved rotary pairs: un-permuted here to halves. gpt-oss's expert computes
`down(g·σ(1.702·g)·(u + 1))` with g ≤ 7 and u in ±7, Llama's `down(silu(gate)·up)`: so gate is divided by
1.702, down multiplied by it, up's bias is −1, and each up channel is scaled by s (its down column by 1/s)
so that the clamp is not reached. Scales and the order of the channels come from the adapter; without one
they are 1 and the order is the base's.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.hub.pocket.gguf import GgufFile
from ossia.hub.pocket.vocabulary import MARKER_IDS

ProjectionName = Literal["q", "k", "v", "o", "gate", "up", "down"]
SWIGLU_ALPHA = 1.702
_GGUF_NAMES: dict[ProjectionName, str] = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


@dataclass(frozen=True, slots=True)
class Channels:
    """Order and scale of the feed-forward channels: order int (L, F), scale float32 (L, F) in the new
    order.
    """

    order: NDArray[np.intp]
    scale: NDArray[np.float32]


class Base:
    """The base model's numbers and its weights, float32, converted as the module says."""

    def __init__(self, source: GgufFile, channels: Channels | None = None) -> None:
        self._source = source
        self._channels = channels
        self.num_layers = self._number("block_count")
        self.hidden_size = self._number("embedding_length")
        self.intermediate_size = self._number("feed_forward_length")
        self.num_heads = self._number("attention.head_count")
        self.num_kv_heads = self._number("attention.head_count_kv")
        self.context_length = self._number("context_length")
        self.head_dim = int(
            source.metadata.get("llama.rope.dimension_count", self.hidden_size // self.num_heads)
        )
        self.rope_theta = float(source.metadata["llama.rope.freq_base"])
        # Stored as float32; the number meant has few digits.
        self.eps = float(f"{source.metadata['llama.attention.layer_norm_rms_epsilon']:.6g}")
        self.vocab_size = source.shape("token_embd.weight")[0]
        self.marker_ids = MARKER_IDS

    def _number(self, key: str) -> int:
        value = self._source.metadata.get(f"llama.{key}")
        if not isinstance(value, int):
            raise CheckpointError(
                f"the base does not say llama.{key}", value=value, remedy="Fetch the base again."
            )
        return value

    def embedding(self) -> NDArray[np.float32]:
        """(V, H); the output head is the same matrix."""
        return self._source.tensor("token_embd.weight")

    def final_norm(self) -> NDArray[np.float32]:
        return self._source.tensor("output_norm.weight")

    def norm(self, layer: int, which: Literal["attention", "mlp"]) -> NDArray[np.float32]:
        name = "attn_norm" if which == "attention" else "ffn_norm"
        return self._source.tensor(f"blk.{layer}.{name}.weight")

    def projection(self, layer: int, name: ProjectionName) -> NDArray[np.float32]:
        """One linear layer's weight (out, in) in converted form."""
        weight = self._source.tensor(f"blk.{layer}.{_GGUF_NAMES[name]}.weight")
        if name in ("q", "k"):
            return halves_from_pairs(weight, self.num_heads if name == "q" else self.num_kv_heads)
        if name in ("v", "o"):
            return weight
        return self._feed_forward(layer, name, weight)

    def _feed_forward(self, layer: int, name: str, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._channels is None:
            order, scale = np.arange(self.intermediate_size), np.ones(self.intermediate_size, np.float32)
        else:
            order, scale = self._channels.order[layer], self._channels.scale[layer]
        if name == "gate":
            return (weight[order] / np.float32(SWIGLU_ALPHA)).astype(np.float32)
        if name == "up":
            return weight[order] * scale[:, None]
        return weight[:, order] * (np.float32(SWIGLU_ALPHA) / scale).astype(np.float32)


def halves_from_pairs(weight: NDArray[np.float32], num_heads: int) -> NDArray[np.float32]:
    """Rows (2i, 2i+1) of each head, rotated together in GGUF, become rows (i, i + D/2)."""
    rows, columns = weight.shape
    pairs = weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.transpose(0, 2, 1, 3).reshape(rows, columns))
