"""Op-level probe: what each kernel reaches on this machine, beside a plain memory read.

`python bench/kernels.py [--isa avx512] [--threads 1 2] [--model 20b pocket]`. Decode rows are weight bytes
per second, prefill rows operations per second. Medians; with one thread of processor time, else of wall time.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from ossia.kernels import cpu, ops
from ossia.kernels.tensors import Activation, KVLayer, Matrix
from ossia.settings import KVKind, Numerics

SHAPES = {  # hidden, F, experts, top_k, heads, kv_heads, vocab
    "20b": (2880, 2880, 32, 4, 64, 8, 201088),
    "pocket": (576, 192, 8, 8, 9, 3, 49152),
}
RNG = np.random.default_rng(0)


def median_s(run: Callable[[], None], repeats: int = 7) -> float:
    """Seconds a run takes; with one thread its processor time, so that a busy machine disturbs less."""
    clock = time.thread_time if cpu.current().threads == 1 else time.perf_counter
    run()
    times: list[float] = []
    for _ in range(repeats):
        start = clock()
        run()
        times.append(clock() - start)
    return float(np.median(times))


def mxfp4(experts: int, rows: int, width: int) -> Matrix:
    data = np.frombuffer(RNG.bytes(experts * rows * width // 2), np.uint8)
    scales = np.full((experts, rows, width // 32), 120, np.uint8)
    return Matrix("mxfp4", data.reshape(experts, rows, width // 32, 16), scales)


def dense(kind: Numerics, rows: int, width: int) -> Matrix:
    if kind == "q8":
        data = np.frombuffer(RNG.bytes(rows * width), np.int8).reshape(1, rows, width)
        return Matrix("q8", data, np.full((1, rows, width // 32), 0.01, np.float32))
    values = RNG.standard_normal((1, rows, width), np.float32)
    return (
        Matrix("f32", values)
        if kind == "f32"
        else Matrix("bf16", (values.view(np.uint32) >> 16).astype(np.uint16))
    )


def rows_of(count: int, width: int, numerics: Numerics) -> Activation:
    out = Activation.empty(count, width, numerics)
    p = ops.Program()
    ops.quantize(p, RNG.standard_normal((count, width), np.float32), out)
    p.run()
    return out


def report(name: str, seconds: float, size: float, unit: str) -> None:
    print(f"  {name:42} {seconds * 1e6:10.1f} us  {size / seconds / 1e9:8.1f} {unit}", flush=True)


def memory(model: str, numerics: Numerics) -> None:
    """What the memory gives one thread of numpy: the yardstick of the decode rows."""
    del model, numerics
    block = np.ones(1 << 26, np.int64)
    report("memory, plain read of 512 MiB", median_s(lambda: block.max()), block.nbytes, "GB/s")


def linears(model: str, numerics: Numerics) -> None:
    hidden, _, _, _, heads, kv_heads, vocab = SHAPES[model]
    copies = max(1, int(3e8 // (hidden * (heads + 2 * kv_heads) * 64)))  # past the caches
    weights = [dense(numerics, (heads + 2 * kv_heads) * 64, hidden) for _ in range(min(copies, 24))]
    for count in (1, 2, 4, 8, 16, 64, 512):
        x = rows_of(count, hidden, numerics)
        out = np.zeros((count, weights[0].shape[1]), np.float32)
        p = ops.Program()
        for w in weights if count <= 8 else weights[:2]:
            ops.linear(p, x, w, None, out)
        seconds = median_s(p.run) / len(p)
        work = (weights[0].nbytes, "GB/s") if count <= 8 else (2.0 * count * weights[0].data.size, "Gop/s")
        report(f"qkv linear, {count} rows", seconds, *work)
    if numerics == "q8":
        head, x = dense(numerics, vocab, hidden), rows_of(1, hidden, numerics)
        p = ops.Program()
        ops.linear(p, x, head, None, np.zeros((1, vocab), np.float32))
        report("LM head, 1 row", median_s(p.run, 5), head.nbytes, "GB/s")


def experts(model: str, numerics: Numerics) -> None:
    hidden, inner, count, top_k, *_ = SHAPES[model]
    layers = [
        (mxfp4(count, 2 * inner, hidden), mxfp4(count, hidden, inner))
        for _ in range(2 if model == "20b" else 30)
    ]
    bias = np.zeros((count, 2 * inner), np.float32), np.zeros((count, hidden), np.float32)
    one = (layers[0][0].nbytes + layers[0][1].nbytes) / count
    for tokens in (1, 2, 4, 8, 16, 64, 512):
        x = rows_of(tokens, hidden, numerics)
        out = np.zeros((tokens, hidden), np.float32)
        p = ops.Program()
        used = 0
        for gate_up, down in layers if tokens <= 8 else layers[:2]:
            ids = np.argsort(RNG.random((tokens, count)), axis=1)[:, :top_k].astype(np.int32)
            used += len(np.unique(ids))
            share = np.full((tokens, top_k), 1 / top_k, np.float32)
            ops.moe(p, x, np.ascontiguousarray(ids), share, gate_up, bias[0], down, bias[1], 7.0, 1.702, out)
        seconds = median_s(p.run, 5) / len(p)
        work = (
            (one * used / len(p), "GB/s")
            if tokens <= 8
            else (2.0 * tokens * top_k * 3 * inner * hidden, "Gop/s")
        )
        report(f"moe, {tokens} rows", seconds, *work)


def attentions(model: str, numerics: Numerics) -> None:
    _, _, _, _, heads, kv_heads, _ = SHAPES[model]
    kinds: tuple[KVKind, ...] = ("f32", "int8") if numerics == "f32" else ("bf16", "int8")
    for tokens, context, window in (
        (1, 4096, 0),
        (1, 32768, 0),
        (1, 4096, 128),
        (512, 512, 0),
        (512, 4096, 0),
        (512, 4096, 128),
    ):
        for kind in kinds:
            blocks = context // 64
            kv = KVLayer.empty(blocks, kv_heads, 64, kind)
            some = {"f32": 1, "bf16": 0x3F80, "int8": 0x3C}[kind]  # pages never written are all the same one
            kv.k[:], kv.v[:] = some, some
            qkv = RNG.standard_normal((tokens, (heads + 2 * kv_heads) * 64), np.float32)
            positions = np.arange(context - tokens, context, dtype=np.int32)
            out = Activation.empty(tokens, heads * 64, numerics)
            p = ops.Program()
            table = np.arange(blocks, dtype=np.int32)[None]
            rows = np.zeros(tokens, np.int32)
            ops.attention(p, qkv, kv, positions, rows, table, np.zeros(heads, np.float32), window, 0.125, out)
            keys = sum(min(int(i) + 1, window or context) for i in positions)
            flops = 4.0 * heads * 64 * keys
            seconds = median_s(p.run, 5)
            report(f"attention, {tokens} at {context}, window {window}, {kind}", seconds, flops, "GFLOP/s")
            if tokens == 1:
                visible = min(context, window or context) / context * (kv.k.nbytes + kv.v.nbytes)
                report("  keys and values read", seconds, visible, "GB/s")


def small_ops(model: str, numerics: Numerics) -> None:
    hidden, _, count, top_k, *_ = SHAPES[model]
    for tokens in (1, 512):
        x = RNG.standard_normal((tokens, hidden), np.float32)
        out, normed = Activation.empty(tokens, hidden, numerics), np.zeros_like(x)
        p = ops.Program()
        ops.rms_norm(p, x, np.ones(hidden, np.float32), 1e-5, out, normed)
        report(f"rms_norm, {tokens} rows", median_s(p.run), x.nbytes, "GB/s")
        p = ops.Program()
        ids, share = np.zeros((tokens, top_k), np.int32), np.zeros((tokens, top_k), np.float32)
        router = RNG.standard_normal((count, hidden), np.float32)
        ops.route(p, x, router, np.zeros(count, np.float32), top_k, ids, share)
        report(f"route, {tokens} rows", median_s(p.run), 2.0 * tokens * router.size, "GFLOP/s")


def steps(model: str, numerics: Numerics) -> None:
    """Whole decode and prefill steps without the LM head; 20b with 2 of its 24 layers."""
    hidden, inner, count, top_k, heads, kv_heads, _ = SHAPES[model]
    depth = 2 if model == "20b" else 30
    qkv_width, f32 = (heads + 2 * kv_heads) * 64, np.float32
    layers = [
        (
            dense(numerics, qkv_width, hidden),
            dense(numerics, hidden, heads * 64),
            mxfp4(count, 2 * inner, hidden),
            mxfp4(count, hidden, inner),
            KVLayer.empty(16, kv_heads, 64, "f32" if numerics == "f32" else "bf16"),
        )
        for _ in range(depth)
    ]
    ones, router = np.ones(hidden, f32), RNG.standard_normal((count, hidden), f32)
    biases = [
        np.zeros(shape, f32)
        for shape in (qkv_width, hidden, count, (count, 2 * inner), (count, hidden), heads)
    ]
    for tokens in (1, 8, 512):
        positions = np.arange(512 - tokens, 512, dtype=np.int32) if tokens != 8 else np.full(8, 500, np.int32)
        x, normed = RNG.standard_normal((tokens, hidden), f32), np.zeros((tokens, hidden), f32)
        qkv, cos = np.zeros((tokens, qkv_width), f32), np.ones((tokens, 32), f32)
        ids, share = np.zeros((tokens, top_k), np.int32), np.zeros((tokens, top_k), f32)
        wide, attended = (
            Activation.empty(tokens, hidden, numerics),
            Activation.empty(tokens, heads * 64, numerics),
        )
        table, rows = np.arange(16, dtype=np.int32)[None], np.zeros(tokens, np.int32)
        p = ops.Program()
        started = time.perf_counter()
        for i, (w_qkv, w_out, gate_up, down, kv) in enumerate(layers):
            ops.rms_norm(p, x, ones, 1e-5, wide)
            ops.linear(p, wide, w_qkv, biases[0], qkv)
            ops.rope_store(p, qkv, cos, cos, positions, kv, heads)
            window = 128 * (1 - i % 2)
            ops.attention(p, qkv, kv, positions, rows, table, biases[5], window, 0.125, attended)
            ops.linear(p, attended, w_out, biases[1], x, accumulate=True)
            ops.rms_norm(p, x, ones, 1e-5, wide, normed)
            ops.route(p, normed, router, biases[2], top_k, ids, share)
            ops.moe(p, wide, ids, share, gate_up, biases[3], down, biases[4], 7.0, 1.702, x)
        recorded = (time.perf_counter() - started) / len(p)
        seconds = median_s(p.run, 15 if tokens < 512 else 3)
        print(
            f"  step of {tokens} rows, {depth} layers: {seconds * 1e3:.2f} ms, {tokens / seconds:.0f} rows/s",
            end="",
        )
        print(
            f", {seconds / len(p) * 1e6:.1f} us an op, recorded in {recorded * 1e6:.1f} us an op", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--isa", nargs="+", default=[cpu.available_isas()[-1]])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, cpu.default_threads()])
    parser.add_argument("--numerics", nargs="+", default=["q8"])
    parser.add_argument("--model", nargs="+", default=list(SHAPES))
    parser.add_argument(
        "--ops", nargs="+", default=["memory", "linears", "experts", "attentions", "small_ops", "steps"]
    )
    parser.add_argument("--beside", type=int, default=0, help="busy processes to run at the same time")
    args = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(args.beside)]
    try:
        probe(args)
    finally:
        for process in busy:
            process.kill()


def probe(args: argparse.Namespace) -> None:
    for model in args.model:
        for isa in args.isa:
            for threads in args.threads:
                cpu.configure(isa, threads)
                for numerics in args.numerics:
                    print(f"{model}, {isa}, {threads} threads, {numerics}")
                    for name in args.ops:
                        PROBES[name](model, numerics)


PROBES = {f.__name__: f for f in (memory, linears, experts, attentions, small_ops, steps)}


if __name__ == "__main__":
    main()
