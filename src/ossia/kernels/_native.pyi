"""The native module (csrc/bindings.cc), reached through `ossia.kernels.ops`, `cpu` and `tensors`."""

from typing import Any

from numpy.typing import NDArray

from ossia.kernels.tensors import Activation, KVLayer, Matrix

_Array = NDArray[Any]

class Program:
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def run(self) -> None: ...
    def embed(self, table: _Array, ids: _Array, out: _Array, /) -> None: ...
    def rms_norm(
        self, x: _Array, weight: _Array, eps: float, out: Activation, normed: _Array | None, /
    ) -> None: ...
    def quantize(self, x: _Array, out: Activation, /) -> None: ...
    def linear(
        self, x: Activation, w: Matrix, bias: _Array | None, out: _Array, accumulate: bool, /
    ) -> None: ...
    def rope_store(
        self, qkv: _Array, cos: _Array, sin: _Array, slots: _Array, kv: KVLayer, num_heads: int, /
    ) -> None: ...
    def attention(
        self,
        qkv: _Array,
        kv: KVLayer,
        positions: _Array,
        rows: _Array,
        table: _Array,
        sinks: _Array,
        window: int,
        scale: float,
        out: Activation,
        /,
    ) -> None: ...
    def route(
        self, normed: _Array, router: _Array, bias: _Array, top_k: int, ids: _Array, weights: _Array, /
    ) -> None: ...
    def moe(
        self,
        x: Activation,
        ids: _Array,
        weights: _Array,
        gate_up: Matrix,
        gate_up_bias: _Array,
        down: Matrix,
        down_bias: _Array,
        limit: float,
        alpha: float,
        out: _Array,
        /,
    ) -> None: ...
    def gather_rows(self, x: _Array, rows: _Array, out: _Array, /) -> None: ...

def kernels() -> list[tuple[str, str, str]]: ...
def isas() -> list[str]: ...
def configure(isa: str, threads: int, /) -> None: ...
def configured() -> tuple[str, int] | None: ...
def shutdown() -> None: ...
def pack_q8(rows: _Array, data: _Array, scales: _Array, /) -> bool: ...
def populate(mapped: _Array, /) -> None: ...
