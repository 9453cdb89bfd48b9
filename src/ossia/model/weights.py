"""Weights ready to be multiplied: the checkpoint's experts as they lie in the file, the rest packed.

Says which tensor becomes what; how they come from the disk is loading's affair.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import cpu
from ossia.kernels.asked import Screen
from ossia.kernels.head import most_screened, screen
from ossia.kernels.tensors import Matrix
from ossia.model.checkpoint import AnyCheckpoint, Checkpoint
from ossia.model.config import ModelConfig
from ossia.model.loading import Jobs, Progress
from ossia.model.memory.streaming import StreamedExperts, stream_experts
from ossia.settings import Numerics

Floats = NDArray[np.float32]

_LEAST_THREADS = 4  # some wait for the disk, or for a core that another process has


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer. Vectors are float32."""

    attention_norm: Floats  # (H,)
    qkv: Matrix  # (1, (Hq + 2 Hkv) D, H)
    qkv_bias: Floats  # ((Hq + 2 Hkv) D,)
    sinks: Floats  # (Hq,)
    out: Matrix  # (1, H, Hq D)
    out_bias: Floats  # (H,)
    moe_norm: Floats  # (H,)
    router: Floats  # (E, H)
    router_bias: Floats  # (E,)
    gate_up: Matrix  # (E, 2F, H), rows interleaved: even gate, odd linear
    gate_up_bias: Floats  # (E, 2F)
    down: Matrix  # (E, H, F)
    down_bias: Floats  # (E, H)


@dataclass(frozen=True, slots=True)
class Weights:
    """The whole model. `embedding` (V, H) stays mapped: bf16's bits, or float32.

    `screen`: how tokens may be chosen by half of the unembedding. `streamed`: where the experts come from, if
    not all are in memory; the layers then only describe them.
    """

    embedding: NDArray[Any]
    layers: tuple[LayerWeights, ...]
    norm: Floats  # (H,)
    unembedding: Matrix  # (1, V, H)
    screen: Screen | None = None
    streamed: StreamedExperts | None = None

    @property
    def mapped_bytes(self) -> int:
        """Weights that lie in the checkpoint's pages: the embedding, and MXFP4 experts that do not stream."""
        pairs = ((layer.gate_up, layer.down) for layer in self.layers if not self.streamed)
        return self.embedding.nbytes + sum(m.nbytes for pair in pairs for m in pair if m.kind == "mxfp4")


def load_weights(
    checkpoint: AnyCheckpoint,
    config: ModelConfig,
    numerics: Numerics,
    progress: Progress | None = None,
    populate: bool = True,
    screened_head: bool = True,
    *,
    slots: int | None = None,
    drop: bool = False,
) -> Weights:
    """Map the experts and pack the dense matrices of `checkpoint`, on as many threads as compute, or four.

    `populate` brings the experts' pages into memory too, for where they fit; else they come when first used.
    `screened_head` stores an int8 unembedding so that choosing a token reads half of it, where that pays.
    `slots`: leave MXFP4 experts of a Checkpoint on the disk but for so many, at least one layer's. `drop`:
    dense parts that were read leave the page cache, where memory is too short for both.
    `progress` is called from the calling thread, with (bytes done, bytes in all).
    Raises CheckpointError where the disk fails or a value of a dense part is inf or NaN.
    """
    jobs = Jobs(checkpoint, numerics, populate and slots is None, drop)
    layers = tuple(_layer(jobs, config, f"model.layers.{n}.") for n in range(config.num_hidden_layers))
    norm, head = jobs.vector("model.norm.weight"), jobs.dense("lm_head.weight")
    embedding = jobs.embedding("model.embed_tokens.weight")
    jobs.run(max(cpu.current().threads, _LEAST_THREADS), progress)
    streamed = None
    if slots is not None:
        assert isinstance(checkpoint, Checkpoint), "experts stream from safetensors alone"
        streamed = stream_experts(checkpoint, slots)
    screened = None
    if screened_head and numerics == "q8" and most_screened(config.vocab_size, config.hidden_size):
        head, screened = screen(head)
    return Weights(embedding, layers, norm, head, screened, streamed)


def _layer(jobs: Jobs, c: ModelConfig, at: str) -> LayerWeights:
    attn, experts = at + "self_attn.", at + "mlp.experts."
    stacked = jobs.mxfp4_experts if c.quantization == "mxfp4" else jobs.dense_experts
    return LayerWeights(
        attention_norm=jobs.vector(at + "input_layernorm.weight"),
        qkv=jobs.dense(*(f"{attn}{x}_proj.weight" for x in "qkv")),
        qkv_bias=jobs.vector(*(f"{attn}{x}_proj.bias" for x in "qkv")),
        sinks=jobs.vector(attn + "sinks"),
        out=jobs.dense(attn + "o_proj.weight"),
        out_bias=jobs.vector(attn + "o_proj.bias"),
        moe_norm=jobs.vector(at + "post_attention_layernorm.weight"),
        router=jobs.vector(at + "mlp.router.weight"),
        router_bias=jobs.vector(at + "mlp.router.bias"),
        gate_up=stacked(experts + "gate_up_proj"),
        gate_up_bias=jobs.vector(experts + "gate_up_proj_bias"),
        down=stacked(experts + "down_proj"),
        down_bias=jobs.vector(experts + "down_proj_bias"),
    )
