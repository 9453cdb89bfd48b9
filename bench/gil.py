"""How much a step slows down beside a Python thread that never sleeps.

`python bench/gil.py [--threads 1] [--steps 400]`. Random weights in pocket's shape. One decode step of one
sequence: alone, beside a busy thread, and beside a busy *process*, which takes as much of the machine but not
the GIL; in turns, so that whatever else the machine does disturbs all alike. Once with CPython's own switch
interval, once with the engine's. Medians, and their ratios.
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np

import ossia.engine.switch_interval as switching
from ossia.engine import Engine, EngineOptions, build_engine
from ossia.kernels import cpu
from ossia.kernels.tensors import Matrix
from ossia.model.config import ModelConfig, config_from_dict
from ossia.model.sampling import SamplingParams
from ossia.model.weights import LayerWeights, Weights

RNG = np.random.default_rng(0)


def pocket_config(layers: int) -> ModelConfig:
    return config_from_dict(
        {
            "model_type": "gpt_oss",
            "hidden_size": 576,
            "num_hidden_layers": layers,
            "num_attention_heads": 9,
            "num_key_value_heads": 3,
            "head_dim": 64,
            "num_local_experts": 8,
            "num_experts_per_tok": 8,
            "intermediate_size": 192,
            "vocab_size": 49152,
            "sliding_window": 8192,
            "max_position_embeddings": 8192,
            "rope_theta": 1e5,
            "rms_norm_eps": 1e-5,
            "quantization_config": {"quant_method": "mxfp4"},
        }
    )


def dense(rows: int, width: int) -> Matrix:
    data = np.frombuffer(RNG.bytes(rows * width), np.int8).reshape(1, rows, width)
    return Matrix("q8", data, np.full((1, rows, width // 32), 1e-3, np.float32))


def experts(count: int, rows: int, width: int) -> Matrix:
    data = np.frombuffer(RNG.bytes(count * rows * width // 2), np.uint8)
    scales = np.full((count, rows, width // 32), 118, np.uint8)
    return Matrix("mxfp4", data.reshape(count, rows, width // 32, 16), scales)


def random_weights(c: ModelConfig) -> Weights:
    def vector(*shape: int) -> np.ndarray:
        return RNG.standard_normal(shape, np.float32)

    h, f, e, heads = (
        c.hidden_size,
        c.intermediate_size,
        c.num_local_experts,
        c.num_attention_heads * c.head_dim,
    )
    layers = tuple(
        LayerWeights(
            attention_norm=np.ones(h, np.float32),
            qkv=dense(c.qkv_size, h),
            qkv_bias=vector(c.qkv_size),
            sinks=vector(c.num_attention_heads),
            out=dense(h, heads),
            out_bias=vector(h),
            moe_norm=np.ones(h, np.float32),
            router=vector(e, h),
            router_bias=vector(e),
            gate_up=experts(e, 2 * f, h),
            gate_up_bias=vector(e, 2 * f),
            down=experts(e, h, f),
            down_bias=vector(e, h),
        )
        for _ in range(c.num_hidden_layers)
    )
    embedding = vector(c.vocab_size, h)
    return Weights(embedding, layers, np.ones(h, np.float32), dense(c.vocab_size, h))


def steps_s(engine: Engine, count: int) -> list[float]:
    times: list[float] = []
    for _ in range(count):
        start = time.perf_counter()
        engine.step()
        times.append(time.perf_counter() - start)
    return times


@contextmanager
def busy_thread() -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=spin, args=(stop,), daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join()


@contextmanager
def busy_process() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield
    process.kill()
    process.communicate()


def spin(stop: threading.Event) -> None:
    while not stop.is_set():
        pass


def compare(engine: Engine, rounds: int, interval_s: float) -> dict[str, float]:
    """Median milliseconds of a step in each company, by turns of 10 steps."""
    company = {"alone": nullcontext, "thread": busy_thread, "process": busy_process}
    times: dict[str, list[float]] = {name: [] for name in company}
    found, switching.SWITCH_INTERVAL_S = switching.SWITCH_INTERVAL_S, interval_s
    for _ in range(rounds):
        for name, beside in company.items():
            with beside():
                times[name] += steps_s(engine, 10)
    switching.SWITCH_INTERVAL_S = found
    return {name: float(np.median(values)) * 1e3 for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--steps", type=int, default=400, help="per figure")
    parser.add_argument("--temperature", type=float, default=1.0)
    args = parser.parse_args()
    config = pocket_config(args.layers)
    weights = random_weights(config)
    for threads in args.threads:
        cpu.configure(None, threads)
        options = EngineOptions(max_sequences=1, max_batch_tokens=64, kv_bytes=512 << 20)
        engine = build_engine(config, weights, "q8", options)
        engine.submit([1, 2, 3], SamplingParams(temperature=args.temperature, seed=1))
        steps_s(engine, 20)
        for interval_s in (sys.getswitchinterval(), switching.SWITCH_INTERVAL_S):
            ms = compare(engine, args.steps // 10, interval_s)
            print(
                f"{threads} kernel thread(s), switch interval {interval_s * 1e3:.2f} ms:"
                f" step {ms['alone']:.2f} ms alone, {ms['process']:.2f} beside a busy process,"
                f" {ms['thread']:.2f} beside a busy thread; thread/alone {ms['thread'] / ms['alone']:.2f},"
                f" thread/process {ms['thread'] / ms['process']:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
