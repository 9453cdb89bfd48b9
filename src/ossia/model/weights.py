"""Weights ready to be multiplied: the checkpoint's experts as they lie in the file, the rest packed.

MXFP4 experts are never copied: the published layout is the one the kernels read, so their pages stay the
operating system's to share and to drop. Dense matrices are packed for the chosen numerics once, here.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.kernels import cpu
from ossia.kernels.tensors import Matrix, pack_matrix
from ossia.model.checkpoint import Checkpoint, as_float32
from ossia.model.config import ModelConfig
from ossia.settings import Numerics

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (parts done, parts in all)."""


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
    """The whole model. `embedding` (V, H) stays mapped: bf16's bits, or float32."""

    embedding: NDArray[Any]
    layers: tuple[LayerWeights, ...]
    norm: Floats  # (H,)
    unembedding: Matrix  # (1, V, H)


def load_weights(
    checkpoint: Checkpoint, config: ModelConfig, numerics: Numerics, progress: Progress | None = None
) -> Weights:
    """Map the experts and pack the dense matrices of `checkpoint`, on as many threads as the kernels use.

    `progress` is called from the calling thread, with (parts done, parts in all).
    """
    total = config.num_hidden_layers + 1
    layers: list[LayerWeights] = []

    def pack_layer(layer: int) -> LayerWeights:
        return _layer(checkpoint, config, numerics, f"model.layers.{layer}.")

    with ThreadPoolExecutor(cpu.current().threads) as pool:
        # The unembedding is the largest matrix by far, so it begins first.
        unembedding = pool.submit(pack_matrix, _dense(checkpoint.array("lm_head.weight")), numerics)
        for packed in pool.map(pack_layer, range(config.num_hidden_layers)):
            layers.append(packed)
            if progress:
                progress(len(layers), total)
        head = unembedding.result()
    if progress:
        progress(total, total)
    embedding = _dense(checkpoint.array("model.embed_tokens.weight"))
    return Weights(embedding, tuple(layers), _vector(checkpoint, "model.norm.weight"), head)


def _layer(ckpt: Checkpoint, c: ModelConfig, numerics: Numerics, at: str) -> LayerWeights:
    attn, experts = at + "self_attn.", at + "mlp.experts."
    qkv = ("q_proj", "k_proj", "v_proj")
    return LayerWeights(
        attention_norm=_vector(ckpt, at + "input_layernorm.weight"),
        qkv=pack_matrix(_joined([ckpt.array(f"{attn}{x}.weight") for x in qkv]), numerics),
        qkv_bias=np.concatenate([as_float32(ckpt.array(f"{attn}{x}.bias")) for x in qkv]),
        sinks=_vector(ckpt, attn + "sinks"),
        out=pack_matrix(_dense(ckpt.array(attn + "o_proj.weight")), numerics),
        out_bias=_vector(ckpt, attn + "o_proj.bias"),
        moe_norm=_vector(ckpt, at + "post_attention_layernorm.weight"),
        router=_vector(ckpt, at + "mlp.router.weight"),
        router_bias=_vector(ckpt, at + "mlp.router.bias"),
        gate_up=_experts(ckpt, c, numerics, experts + "gate_up_proj"),
        gate_up_bias=_vector(ckpt, experts + "gate_up_proj_bias"),
        down=_experts(ckpt, c, numerics, experts + "down_proj"),
        down_bias=_vector(ckpt, experts + "down_proj_bias"),
    )


def _experts(ckpt: Checkpoint, c: ModelConfig, numerics: Numerics, name: str) -> Matrix:
    if c.quantization == "mxfp4":
        for part in ("_blocks", "_scales"):
            ckpt.will_need(name + part)
        blocks, scales = ckpt.array(name + "_blocks"), ckpt.array(name + "_scales")
        return Matrix("mxfp4", blocks, scales)
    stored = _dense(ckpt.array(name))  # (E, in, out)
    return pack_matrix(np.ascontiguousarray(stored.swapaxes(1, 2)), numerics)


def _vector(ckpt: Checkpoint, name: str) -> Floats:
    """A small tensor of any rank as float32 of our own."""
    return np.array(as_float32(ckpt.array(name)))


def _dense(stored: NDArray[Any]) -> NDArray[Any]:
    """bf16's bits as they are, anything else as float32; aligned and contiguous, copied only if need be."""
    return np.require(stored if stored.dtype == np.uint16 else as_float32(stored), requirements=["C", "A"])


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Rows of all parts under one another, in one type."""
    same = all(p.dtype == parts[0].dtype for p in parts)
    return np.concatenate([_dense(p) if same else as_float32(p) for p in parts])
