"""Pocket on this machine: prefill and decode rates, resident memory, seconds from command to first token.

With ``--llama-server`` and ``--gguf`` (the original file of the base) llama.cpp is measured in the same run,
round by round in turn with Ossia, so that a noisy machine disturbs both alike. The timings are the server's,
which leaves HTTP out of its figures.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

import ossia
from ossia.model.sampling import SamplingParams

PORT = 18477
FIRST_TOKEN_CODE = "import ossia; m = ossia.load('pocket'); next(iter(m.chat(effort='low').stream('Hello')))"


def random_prompt(rng: random.Random, length: int) -> list[int]:
    """Ids of ordinary tokens; a new prompt each time, so that no prefix cache helps."""
    return [rng.randrange(100, 49_000) for _ in range(length)]


async def measure_ossia(model: "ossia.Model", prompt: list[int], count: int) -> tuple[float, float]:
    """Prefill and decode rates in tokens per second."""
    started = time.perf_counter()
    params = SamplingParams(max_tokens=count, temperature=0.0)
    times = [time.perf_counter() async for _ in model.backend.generate(prompt, params)]
    return len(prompt) / (times[0] - started), (len(times) - 1) / (times[-1] - times[0])


def measure_llama(prompt: list[int], count: int) -> tuple[float, float]:
    body = {
        "prompt": prompt,
        "n_predict": count,
        "temperature": 0,
        "cache_prompt": False,
        "ignore_eos": True,
    }
    timings = post("/completion", body)["timings"]
    return timings["prompt_per_second"], timings["predicted_per_second"]


def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


@contextmanager
def llama_server(server: Path, gguf: Path, threads: int) -> Iterator[psutil.Process]:
    command = [server, "-m", gguf, "-t", threads, "-c", 4096, "-np", 1, "-fa", "on", "--port", PORT]
    with subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as run:
        try:
            wait_ready(run)
            yield psutil.Process(run.pid)
        finally:
            run.terminate()


def wait_ready(run: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        if run.poll() is not None:
            raise SystemExit(f"the llama.cpp server ended with code {run.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise SystemExit("the llama.cpp server did not become ready within 60 s")


def first_token_seconds(rounds: int) -> float:
    """Median seconds from starting Python to the first event of an answer."""
    seconds: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", FIRST_TOKEN_CODE], check=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def compare(model: "ossia.Model", peer: bool, options: argparse.Namespace) -> dict[str, list[float]]:
    rng = random.Random(options.seed)
    samples: dict[str, list[float]] = {}
    for round_number in range(options.rounds + 1):
        prompt = random_prompt(rng, options.prompt)
        results = {"ossia": asyncio.run(measure_ossia(model, prompt, options.tokens))}
        if peer:
            results["llama.cpp"] = measure_llama(prompt, options.tokens)
        if round_number:  # the first round warms both up
            for name, (prefill, decode) in results.items():
                samples.setdefault(f"{name} prefill", []).append(prefill)
                samples.setdefault(f"{name} decode", []).append(decode)
    return samples


def report(samples: dict[str, list[float]], memory: dict[str, int], first_token: float) -> None:
    table = Table("", "median", "min", "max", "ossia / llama.cpp", title="pocket, tokens per second")
    for name, values in samples.items():
        peer = samples.get(name.replace("ossia", "llama.cpp")) if name.startswith("ossia") else None
        ratio = f"{statistics.median(values) / statistics.median(peer):.2f}" if peer else ""
        table.add_row(name, *(f"{f(values):.1f}" for f in (statistics.median, min, max)), ratio)
    for name, size in memory.items():
        table.add_row(f"{name} resident", f"{size / 2**20:.0f} MiB")
    table.add_row("ossia, command to first token", f"{first_token:.2f} s")
    Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llama-server", type=Path, help="llama.cpp's server, to measure beside Ossia")
    parser.add_argument("--gguf", type=Path, help="the base's GGUF for llama.cpp")
    parser.add_argument("--threads", type=int, default=psutil.cpu_count(logical=False) or 1)
    parser.add_argument("--prompt", type=int, default=512, help="prompt tokens")
    parser.add_argument("--tokens", type=int, default=128, help="decoded tokens")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    first_token = first_token_seconds(3)
    with ossia.load("pocket", threads=options.threads) as model:
        memory = {}
        if options.llama_server and options.gguf:
            with llama_server(options.llama_server, options.gguf, options.threads) as peer:
                samples = compare(model, True, options)
                memory["llama.cpp"] = peer.memory_info().rss
        else:
            samples = compare(model, False, options)
        memory = {"ossia": psutil.Process().memory_info().rss, **memory}
    report(samples, memory, first_token)


if __name__ == "__main__":
    main()
