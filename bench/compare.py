"""Ossia beside llama.cpp's server on the same shape: decode, streams, prompts, loading, memory, and ratios.

`python bench/compare.py MODEL --llama-server PATH --gguf FILE [--passes 2] [--json]`. MODEL is anything
`ossia bench run` takes; `bench/gguf_of.py` writes the GGUF file of a synthetic one. The engines take turns,
each loaded alone, because together they need more memory than most machines have; with more passes a drift
of the machine disturbs both. Every decode sample has a bandwidth probe beside it. The server's figures are
its own timings, so that HTTP costs it nothing; of several streams, the arrival of the tokens is timed.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ossia.bench.run import QUICK, Plan, bench_model, joint_rate
from ossia.kernels import cpu
from ossia.kernels.probe import read_bandwidth, reading_buffer
from ossia.settings import load_settings

PORT = 18478
SHORT = 32  # prompt tokens before a decode sample
RATES = ("decode", "streams_4", "streams_8", "depth", "prefill_512", "prefill_2048")
READY_WITHIN_S = 300
Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Peer:
    """A running llama.cpp server."""

    process: "subprocess.Popen[bytes]"
    vocab_size: int
    rng: np.random.Generator

    def prompt(self, tokens: int) -> list[int]:
        return self.rng.integers(0, self.vocab_size, tokens).tolist()

    def complete(self, prompt: list[int], count: int, *, cached: bool = False) -> dict[str, float]:
        """The server's own timings of one request."""
        body = request_body(prompt, count) | {"cache_prompt": cached}
        with post("/completion", body) as answer:
            return json.load(answer)["timings"]

    def arrivals(self, prompt: list[int], count: int) -> list[float]:
        """When each token of one request arrived."""
        with post("/completion", request_body(prompt, count) | {"stream": True}) as answer:
            return [time.perf_counter() for line in answer if is_token(line)]

    def streams(self, count: int, steps: int) -> float:
        prompts = [self.prompt(SHORT) for _ in range(count)]
        with ThreadPoolExecutor(count) as pool:
            return joint_rate(list(pool.map(lambda prompt: self.arrivals(prompt, steps + 1), prompts)))

    @property
    def peak_rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024


def is_token(line: bytes) -> bool:
    return line.startswith(b"data:") and not json.loads(line[5:]).get("stop")


def request_body(prompt: list[int], count: int) -> dict[str, Any]:
    return {
        "prompt": prompt, "n_predict": count, "temperature": 0, "ignore_eos": True, "cache_prompt": False
    }  # fmt: skip


def post(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=1800)


@contextmanager
def running(command: list[str], vocab_size: int) -> Iterator[tuple[Peer, float]]:
    """The server and the seconds it took to be ready."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_ready(process)
            yield Peer(process, vocab_size, np.random.default_rng(7)), time.perf_counter() - started
        finally:
            process.terminate()


def wait_ready(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(READY_WITHIN_S * 20):
        if process.poll() is not None:
            raise SystemExit(f"the llama.cpp server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit(f"the llama.cpp server did not become ready within {READY_WITHIN_S} s")


def measure_peer(command: list[str], vocab_size: int, plan: Plan) -> tuple[Samples, dict[str, float]]:
    """Samples of every rate, and load time, memory and bandwidth."""
    samples: Samples = {}
    with running(command, vocab_size) as (peer, ready_s):
        peer.complete(peer.prompt(SHORT), 4)
        for _ in range(plan.prefill_rounds):
            for length in (512, 2048):
                timings = peer.complete(peer.prompt(length), 1)
                samples.setdefault(f"prefill_{length}", []).append(timings["prompt_per_second"])
        deep = peer.prompt(plan.depth)
        peer.complete(deep, 1, cached=True)
        memory = peer.peak_rss_bytes
        steps = steps_for(peer.complete(peer.prompt(SHORT), 8)["predicted_per_second"], plan)
        rates: dict[str, Callable[[], float]] = {
            "decode": lambda: peer.complete(peer.prompt(SHORT), steps)["predicted_per_second"],
            "streams_4": lambda: peer.streams(4, max(8, steps // 2)),
            "streams_8": lambda: peer.streams(8, max(8, steps // 2)),
            "depth": lambda: peer.complete(deep, steps, cached=True)["predicted_per_second"],
        }
        buffer = reading_buffer(plan.buffer_bytes)
        for _ in range(plan.rounds):
            for name, rate in rates.items():
                samples.setdefault(name, []).append(rate())
                samples.setdefault("bandwidth", []).append(read_bandwidth(buffer))
    return samples, {"load_s": ready_s, "peak_rss_bytes": memory}


def steps_for(rate: float, plan: Plan) -> int:
    return int(np.clip(plan.sample_s * rate, 8, 64))


def measure_ossia(model: str, plan: Plan, threads: int) -> tuple[Samples, dict[str, float]]:
    report = bench_model(model, plan=plan, settings=replace(load_settings(), threads=threads))
    samples = {name: list(figure.samples) for name, figure in report.figures.items()}
    samples["bandwidth"] = list(report.bandwidth)
    return samples, {"load_s": report.load_s, "peak_rss_bytes": float(report.peak_rss_bytes)}


def merged(passes: list[tuple[Samples, dict[str, float]]]) -> dict[str, list[float]]:
    """All samples of all passes by name."""
    together: Samples = {}
    for samples, facts in passes:
        for name, values in samples.items():
            together.setdefault(name, []).extend(values)
        for name, value in facts.items():
            together.setdefault(name, []).append(value)
    return together


def summary(ossia: Samples, peer: Samples) -> dict[str, dict[str, float | list[float]]]:
    """Medians, ranges and ratios; for decoding also the ratio at equal bandwidth."""
    probed = median(peer["bandwidth"]) / median(ossia["bandwidth"])
    rows: dict[str, dict[str, float | list[float]]] = {}
    for name in (*RATES, "load_s", "peak_rss_bytes", "bandwidth"):
        if name not in ossia or name not in peer:
            continue
        ratio = median(ossia[name]) / median(peer[name])
        row: dict[str, float | list[float]] = {
            "ossia": median(ossia[name]), "ossia_range": [min(ossia[name]), max(ossia[name])],
            "llama_cpp": median(peer[name]), "llama_cpp_range": [min(peer[name]), max(peer[name])],
            "ratio": ratio,
        }  # fmt: skip
        if name in ("decode", "streams_4", "streams_8", "depth"):
            row["ratio_at_equal_bandwidth"] = ratio * probed
        rows[name] = row
    return rows


def print_table(rows: dict[str, dict[str, Any]], title: str) -> None:
    table = Table("", "ossia", "range", "llama.cpp", "range", "ratio", "at equal bandwidth", title=title)
    scale = {"peak_rss_bytes": (2**30, "GiB"), "bandwidth": (1e9, "GB/s"), "load_s": (1, "s")}
    for name, row in rows.items():
        unit, symbol = scale.get(name, (1, "tok/s"))
        cells = [f"{row[who] / unit:.2f}" for who in ("ossia", "llama_cpp")]
        spread = [
            "{:.2f} … {:.2f}".format(*(v / unit for v in row[f"{who}_range"]))
            for who in ("ossia", "llama_cpp")
        ]
        equal = row.get("ratio_at_equal_bandwidth")
        last = f"{row['ratio']:.2f}", "" if equal is None else f"{equal:.2f}"
        table.add_row(f"{name}, {symbol}", cells[0], spread[0], cells[1], spread[1], *last)
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--llama-server", type=Path, required=True)
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=cpu.default_threads())
    parser.add_argument("--passes", type=int, default=1, help="how often each engine has its turn")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--vocab-size", type=int, default=201088)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--llama-options", default="-c 16384 -np 8 -kvu -fa on", help="more of its options")
    options = parser.parse_args()
    plan = QUICK if options.quick else Plan()
    command = [
        *map(str, (options.llama_server, "-m", options.gguf, "-t", options.threads, "--port", PORT)),
        *options.llama_options.split(),
    ]
    ossia: list[tuple[Samples, dict[str, float]]] = []
    peer: list[tuple[Samples, dict[str, float]]] = []
    for turn in range(options.passes):
        print(f"pass {turn + 1} of {options.passes}", file=sys.stderr)
        ossia.append(measure_ossia(options.model, plan, options.threads))
        peer.append(measure_peer(command, options.vocab_size, plan))
    rows = summary(merged(ossia), merged(peer))
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print_table(rows, f"{options.model} and {options.gguf.name}, {options.threads} threads")


if __name__ == "__main__":
    main()
