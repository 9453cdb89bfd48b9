"""Weights ready to be multiplied: the checkpoint's experts as they lie in the file, the rest packed.

MXFP4 experts are never copied: the published layout is the one the kernels read, so their pages stay the
operating system's to share and to drop. Dense matrices are read piece by piece and packed for the chosen
numerics; their bytes in the file are never mapped into the process. Embedding rows stay on disk until a token
asks for them. All of it is cut into jobs that run on threads in the order of the disk.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.kernels import cpu
from ossia.kernels.tensors import BLOCK, Matrix, pack_rows
from ossia.model.checkpoint import AnyCheckpoint, Checkpoint, GgufCheckpoint, as_float32
from ossia.model.config import ModelConfig
from ossia.settings import Numerics

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) of the checkpoint."""

_JOB_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20  # read and packed at a time: stays in a core's cache between the two
_JOBS_AHEAD = 16  # that the disk is told of before they are due


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
    checkpoint: AnyCheckpoint,
    config: ModelConfig,
    numerics: Numerics,
    progress: Progress | None = None,
    populate: bool = True,
) -> Weights:
    """Map the experts and pack the dense matrices of `checkpoint`, on as many threads as the kernels use.

    `populate` brings the experts' pages into memory too, for where they fit; else they come when first used.
    `progress` is called from the calling thread, with (bytes done, bytes in all).
    Raises CheckpointError where the disk fails or a value of a dense part is inf or NaN.
    """
    jobs = _Jobs(checkpoint, numerics, populate)
    layers = tuple(_layer(jobs, config, f"model.layers.{n}.") for n in range(config.num_hidden_layers))
    norm, head = jobs.vector("model.norm.weight"), jobs.dense("lm_head.weight")
    embedding = jobs.embedding("model.embed_tokens.weight")
    jobs.run(cpu.current().threads, progress)
    return Weights(embedding, layers, norm, head)


def _layer(jobs: "_Jobs", c: ModelConfig, at: str) -> LayerWeights:
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


@dataclass(frozen=True, slots=True)
class _Job:
    """`size` bytes of a tensor from byte `offset`, and what to do with them."""

    name: str
    offset: int
    size: int
    work: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Jobs:
    """Hands out arrays at once and notes the work that fills them, which `run` does."""

    checkpoint: AnyCheckpoint
    numerics: Numerics
    populate: bool
    noted: list[_Job] = field(default_factory=list[_Job])

    def vector(self, *names: str) -> Floats:
        """Small tensors of any rank, rows under one another, as float32 of our own."""
        shapes = [self.checkpoint.shape(name) for name in names]
        out = np.empty((sum(s[0] for s in shapes), *shapes[0][1:]), np.float32)
        first = 0
        for name, shape in zip(names, shapes, strict=True):
            rows = out[first : first + shape[0]]
            size = shape[0] * _row_bytes(self.checkpoint, name)
            self.noted.append(_Job(name, 0, size, partial(_read_vector, self.checkpoint, name, rows)))
            first += shape[0]
        return out

    def dense(self, *names: str, numerics: Numerics | None = None) -> Matrix:
        """Matrices (N, K), rows under one another, as one weight packed for `numerics` or the jobs' own."""
        rows = [self.checkpoint.shape(name)[0] for name in names]
        width = self.checkpoint.shape(names[0])[1]
        out = Matrix.empty(1, sum(rows), width, numerics or self.numerics)
        first = 0
        for name, count in zip(names, rows, strict=True):
            row = _row_bytes(self.checkpoint, name)
            step = max(1, _JOB_BYTES // row)
            for begin in range(0, count, step):
                part = _Rows(name, begin, min(begin + step, count), out, first + begin)
                self.noted.append(
                    _Job(
                        name,
                        begin * row,
                        (part.end - begin) * row,
                        partial(_pack_part, self.checkpoint, part),
                    )
                )
            first += count
        return out

    def embedding(self, name: str) -> NDArray[Any]:
        """A matrix (V, H) whose rows are looked up: as mapped, if it holds bf16 or float32.

        GGUF's Q8_0 and F16 become bf16, rounded to nearest even, under f32 numerics float32.
        """
        if isinstance(self.checkpoint, GgufCheckpoint) and self.checkpoint.kind(name) in ("Q8_0", "F16"):
            return self.dense(name, numerics="f32" if self.numerics == "f32" else "bf16").data[0]
        return _embedding(self.checkpoint.array(name))

    def mxfp4_experts(self, name: str) -> Matrix:
        """MXFP4 experts where they lie; GGUF's, whose blocks are in another order, rearranged in memory."""
        if isinstance(self.checkpoint, GgufCheckpoint):
            return self._repacked_experts(self.checkpoint, name)
        data, scales = (self.checkpoint.array(name + part) for part in ("_blocks", "_scales"))
        if self.populate:
            for part, array in (("_blocks", data), ("_scales", scales)):
                for at in range(0, array.nbytes, _JOB_BYTES):
                    size = min(_JOB_BYTES, array.nbytes - at)
                    work = partial(self.checkpoint.populate, name + part, at, size)
                    self.noted.append(_Job(name + part, at, size, work))
        return Matrix("mxfp4", data, scales)

    def _repacked_experts(self, checkpoint: GgufCheckpoint, name: str) -> Matrix:
        experts, rows, width = checkpoint.shape(name)
        blocks = width // BLOCK
        data = np.empty((experts, rows, blocks, 16), np.uint8)
        scales = np.empty((experts, rows, blocks), np.uint8)
        sources = checkpoint.stored(name)
        for i, stored in enumerate(sources):  # gate's rows and up's alternate
            size = checkpoint.row_bytes(stored)
            for e in range(experts):
                into = data[e, i :: len(sources)], scales[e, i :: len(sources)]
                work = partial(checkpoint.read_mxfp4, stored, e, *into)
                self.noted.append(_Job(stored, e * size, size, work))
        return Matrix("mxfp4", data, scales)

    def dense_experts(self, name: str) -> Matrix:
        """Unquantised experts, packed as (E, out, in): GGUF keeps them so, safetensors as (E, in, out)."""
        experts, rows, width = self.checkpoint.shape(name)
        if isinstance(self.checkpoint, Checkpoint):
            rows, width = width, rows
        out = Matrix.empty(experts, rows, width, self.numerics)
        size = _row_bytes(self.checkpoint, name)
        for e in range(experts):
            self.noted.append(
                _Job(name, e * size, size, partial(_pack_expert, self.checkpoint, name, out, e))
            )
        return out

    def run(self, threads: int, progress: Progress | None) -> None:
        """Do all that was noted. An error or an interrupt ends it as soon as the jobs under way are done."""
        jobs = sorted(self.noted, key=self._position)
        total = self.checkpoint.size_bytes
        done = 0
        pool = ThreadPoolExecutor(threads)
        try:
            ahead = [*jobs[_JOBS_AHEAD:], *[None] * _JOBS_AHEAD]
            for job in as_completed(
                [pool.submit(self._one, *pair) for pair in zip(jobs, ahead, strict=False)]
            ):
                done += job.result()
                if progress and done < total:
                    progress(done, total)
        finally:
            pool.shutdown(cancel_futures=True)
        if progress:  # what stays on the disk counts as done
            progress(total, total)

    def _position(self, job: _Job) -> tuple[str, int]:
        file, begin = self.checkpoint.position(job.name)
        return file, begin + job.offset

    def _one(self, job: _Job, later: _Job | None) -> int:
        if later:
            self.checkpoint.will_need(later.name, later.offset, later.size)
        job.work()
        return job.size


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows `begin` to `end` of a stored matrix, which become those from `at` of a packed one."""

    name: str
    begin: int
    end: int
    into: Matrix
    at: int


def _row_bytes(checkpoint: AnyCheckpoint, name: str) -> int:
    """Bytes on the disk of one row of the first axis."""
    if isinstance(checkpoint, GgufCheckpoint):
        return checkpoint.row_bytes(name)
    return math.prod(checkpoint.shape(name)[1:]) * checkpoint.dtype(name).itemsize


def _pack_part(checkpoint: AnyCheckpoint, part: _Rows) -> None:
    stored = checkpoint.dtype(part.name)
    if isinstance(checkpoint, GgufCheckpoint) and (part.into.kind, checkpoint.kind(part.name)) == (
        "q8",
        "Q8_0",
    ):
        assert part.into.scales is not None, "q8 weights have scales"
        rows = slice(part.at, part.at + part.end - part.begin)
        checkpoint.read_q8(part.name, part.into.data[0, rows], part.into.scales[0, rows], part.begin)
        return
    width = part.into.shape[2]
    if stored == part.into.data.dtype:
        rows = part.into.data[0, part.at : part.at + part.end - part.begin]
        checkpoint.read_into(part.name, rows, part.begin)
        return
    piece = np.empty((max(1, _PIECE_BYTES // (width * stored.itemsize)), width), stored)
    for first in range(part.begin, part.end, len(piece)):
        rows = piece[: part.end - first]
        checkpoint.read_into(part.name, rows, first)
        finite = pack_rows(_dense(rows), part.into, 0, part.at + first - part.begin)
        _require_finite(checkpoint, part.name, finite)


def _pack_expert(checkpoint: AnyCheckpoint, name: str, into: Matrix, expert: int) -> None:
    stored = np.empty((1, *checkpoint.shape(name)[1:]), checkpoint.dtype(name))
    checkpoint.read_into(name, stored, expert)
    rows = _dense(stored[0])
    turned = np.ascontiguousarray(rows.T) if isinstance(checkpoint, Checkpoint) else rows
    _require_finite(checkpoint, name, pack_rows(turned, into, expert))


def _read_vector(checkpoint: AnyCheckpoint, name: str, into: Floats) -> None:
    stored = np.empty(into.shape, checkpoint.dtype(name))
    checkpoint.read_into(name, stored)
    into[...] = as_float32(stored)
    _require_finite(checkpoint, name, bool(np.isfinite(into).all()))


def _require_finite(checkpoint: AnyCheckpoint, name: str, finite: bool) -> None:
    if not finite:
        file = checkpoint.position(name)[0]
        raise CheckpointError(
            f"{file} is damaged: {name} holds inf or NaN", value=name, limit="finite weights",
            remedy="Check its files with `ossia info MODEL --verify`, or fetch it again.",
        )  # fmt: skip


def _dense(stored: NDArray[Any]) -> NDArray[Any]:
    """bf16's bits as they are, anything else as float32."""
    return stored if stored.dtype == np.uint16 else as_float32(stored)


def _embedding(stored: NDArray[Any]) -> NDArray[Any]:
    """bf16's bits or float32, aligned and contiguous: as mapped, copied only if need be."""
    return np.require(_dense(stored), requirements=["C", "A"])
