"""How a checkpoint's tensors come from the disk into memory: mapped, read, widened or packed, on threads.

MXFP4 experts are never copied from safetensors: the published layout is the one the kernels read, so their
pages stay the operating system's to share and to drop. Dense matrices are read piece by piece and packed;
their bytes in the file are never mapped into the process. Embedding rows stay on disk until a token asks.
Does not know what a tensor is for.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ossia.errors import CheckpointError
from ossia.kernels.loading import ENDED, NOT_FINITE, Loading, carry_out
from ossia.kernels.tensors import BLOCK, Matrix, pack_rows
from ossia.model.checkpoint import AnyCheckpoint, Checkpoint, GgufCheckpoint, as_float32
from ossia.settings import Numerics

Floats = NDArray[np.float32]
Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all) of the checkpoint."""

_JOB_BYTES = 16 << 20
_PIECE_BYTES = 1 << 20  # read and packed at a time: stays in a core's cache between the two
_JOBS_AHEAD = 16  # that the disk is told of before they are due


@dataclass(frozen=True, slots=True)
class _Job:
    """`size` bytes of a tensor from byte `offset`, and what to do with them."""

    name: str
    offset: int
    size: int
    work: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Left:
    """A tensor left to the native loader, and how it is noted there, from a descriptor and a byte."""

    name: str
    note: Callable[[Loading, int, int], None]


@dataclass(frozen=True, slots=True)
class Jobs:
    """Hands out arrays at once and notes the work that fills them, which `run` does.

    What the native loader can do is left to it, whole tensors at a time; the rest are jobs of Python.
    """

    checkpoint: AnyCheckpoint
    numerics: Numerics
    populate: bool
    drop: bool = False  # from the page cache, what was read into memory of our own
    noted: list[_Job] = field(default_factory=list[_Job])
    left: list[_Left] = field(default_factory=list[_Left])
    vectors: dict[str, Floats] = field(default_factory=dict[str, Floats])

    def vector(self, *names: str) -> Floats:
        """Small tensors of any rank, rows under one another, as float32 of our own."""
        shapes = [self.checkpoint.shape(name) for name in names]
        out = np.empty((sum(s[0] for s in shapes), *shapes[0][1:]), np.float32)
        first = 0
        for name, shape in zip(names, shapes, strict=True):
            rows = self.vectors[name] = out[first : first + shape[0]]
            if not self._leave(name, rows):
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
            part = slice(first, first + count)
            scales = None if out.scales is None else out.scales[0, part]
            if not self._leave(name, out.data[0, part], scales):
                self._note_rows(name, count, out, first)
            first += count
        return out

    def _leave(self, name: str, data: NDArray[Any], scales: NDArray[np.float32] | None = None) -> bool:
        """Leave a tensor to the native loader, to fill `data`; False where that is not for it."""
        if not isinstance(self.checkpoint, Checkpoint):
            return False
        stored = self.checkpoint.dtype(name)
        note: Callable[[Loading, int, int], None]
        if stored == data.dtype:
            note = partial(_note_read, data.reshape(-1).view(np.uint8))
        elif scales is not None and stored.type in (np.uint16, np.float32):
            note = partial(_note_pack, data, scales, stored == np.uint16)
        elif (stored.type, data.dtype.type) == (np.uint16, np.float32):
            note = partial(_note_widen, data.reshape(-1))
        else:
            return False
        self.left.append(_Left(name, note))
        return True

    def _note_rows(self, name: str, count: int, into: Matrix, at: int) -> None:
        row = _row_bytes(self.checkpoint, name)
        step = max(1, _JOB_BYTES // row)
        for begin in range(0, count, step):
            part = _Rows(name, begin, min(begin + step, count), into, at + begin)
            work = partial(_pack_part, self.checkpoint, part)
            self.noted.append(_Job(name, begin * row, (part.end - begin) * row, work))

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
                self.left.append(_Left(name + part, partial(_note_populate, array.reshape(-1))))
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
        """Do all that was noted, in the order of the disk; an error or an interrupt ends it at once.

        Jobs of Python that are under way are finished first.
        """
        total = self.checkpoint.size_bytes
        last = 0

        def tell(done: int) -> None:
            nonlocal last
            if progress and last < done < total:
                last = done
                progress(done, total)

        loaded = self._run_left(threads, tell)
        self._run_noted(threads, lambda done: tell(loaded + done))
        for name, values in self.vectors.items():
            _require_finite(self.checkpoint, name, bool(np.isfinite(values).all()))
        if progress:  # what stays on the disk counts as done
            progress(total, total)

    def _run_left(self, threads: int, tell: Callable[[int], None]) -> int:
        """The native part; returns the bytes it handled."""
        loading = Loading()
        if not isinstance(self.checkpoint, Checkpoint):
            return 0
        checkpoint = self.checkpoint
        left = sorted(self.left, key=lambda entry: checkpoint.position(entry.name))
        for entry in left:
            entry.note(loading, *checkpoint.source(entry.name))
        if failure := carry_out(loading, threads, tell, drop=self.drop):
            raise failed(checkpoint, left[failure[0]].name, failure[1])
        return loading.done()

    def _run_noted(self, threads: int, tell: Callable[[int], None]) -> None:
        """The part in Python, on a pool."""
        jobs = sorted(self.noted, key=self._position)
        ahead = [*jobs[_JOBS_AHEAD:], *[None] * _JOBS_AHEAD]
        done = 0
        pool = ThreadPoolExecutor(threads)
        try:
            pairs = zip(jobs, ahead, strict=False)
            for job in as_completed([pool.submit(self._one, *pair) for pair in pairs]):
                done += job.result()
                tell(done)
        finally:
            pool.shutdown(cancel_futures=True)

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
    if isinstance(checkpoint, GgufCheckpoint) and _keep_rows(checkpoint, part):
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


def _keep_rows(checkpoint: GgufCheckpoint, part: _Rows) -> bool:
    """Rows of GGUF that need no packing: Q8_0's codes under q8, rounded values under bf16."""
    into, rows = part.into, slice(part.at, part.at + part.end - part.begin)
    kind = checkpoint.kind(part.name)
    if into.scales is not None and kind == "Q8_0":
        checkpoint.read_q8(part.name, into.data[0, rows], into.scales[0, rows], part.begin)
    elif into.kind == "bf16" and kind != "BF16":
        checkpoint.read_bf16(part.name, into.data[0, rows], part.begin)
    else:
        return False
    return True


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


def _note_populate(mapped: NDArray[np.uint8], loading: Loading, fd: int, offset: int) -> None:
    loading.populate(mapped, fd, offset)


def _note_read(data: NDArray[np.uint8], loading: Loading, fd: int, offset: int) -> None:
    loading.read(data, fd, offset)


def _note_widen(data: Floats, loading: Loading, fd: int, offset: int) -> None:
    loading.widen(data, fd, offset)


def _note_pack(
    data: NDArray[np.int8], scales: Floats, from_is_bf16: bool, loading: Loading, fd: int, offset: int
) -> None:
    loading.pack(data, scales, fd, offset, from_is_bf16)


def _require_finite(checkpoint: AnyCheckpoint, name: str, finite: bool) -> None:
    if not finite:
        raise failed(checkpoint, name, NOT_FINITE)


def failed(checkpoint: AnyCheckpoint, name: str, error: int) -> CheckpointError:
    """Why tensor `name` cannot be used: ENDED, NOT_FINITE, or the system's error number."""
    file = checkpoint.position(name)[0]
    told = {NOT_FINITE: f"{name} holds inf or NaN", ENDED: f"it ends inside {name}"}
    why = told.get(error) or f"{name} cannot be read ({os.strerror(error)})"
    return CheckpointError(
        f"{file} is damaged: {why}", value=name, limit="whole files of finite weights",
        remedy="Check its files with `ossia info MODEL --verify`, or fetch it again.",
    )  # fmt: skip


def _dense(stored: NDArray[Any]) -> NDArray[Any]:
    """bf16's bits as they are, anything else as float32."""
    return stored if stored.dtype == np.uint16 else as_float32(stored)


def _embedding(stored: NDArray[Any]) -> NDArray[Any]:
    """bf16's bits or float32, aligned and contiguous: as mapped, copied only if need be."""
    return np.require(_dense(stored), requirements=["C", "A"])
