"""Ossia beside llama.cpp and ik_llama.cpp on the same weights: decode, streams, prompts, memory, loading.

`python bench/compare.py MODEL --gguf FILE --results FILE --llama-server PATH [--ik-server PATH]
[--llama-avx2-server PATH] [--passes N] [--stage NAME …] [--list]`. MODEL is anything `ossia bench run` takes;
`bench/gguf_of.py` writes the GGUF file of a synthetic one, and `ossia` reads both.

Cut into stages of a few minutes, each with one engine alone in memory, in a process of its own, so that a
stage that is in the results file is not measured again (`--again` does). The engines take turns; a second
pass goes round once more. Ossia is driven in this process through the backend that answers a chat, as
`ossia bench run` does; its peers through their servers. All get other random ids of equal length in every
sample, greedy, with no end token; nobody guesses ahead. A read probe stands before and after every sample.

"A core taken": another process spins all the while. Memory is the process's peak, pages of mapped files
included: ours after a prompt of 8,000 in a context of 8,192, the peers' after one of 2,048 (they fill their
cache with zeros when they start). Before an engine starts, its file is read once, so that the cache is warm.
"""

import argparse
import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from rich.console import Console
from rich.table import Table

from ossia.agent.model import Model
from ossia.bench.run import follow_all, joint_rate, synthetic_folder
from ossia.bench.workload import decode_cost
from ossia.hub.info import config_of
from ossia.hub.load import load
from ossia.hub.sources import FoundModel, locate
from ossia.kernels import cpu
from ossia.kernels.probe import read_bandwidth, reading_buffer
from ossia.model.config import ModelConfig
from ossia.settings import Numerics, load_settings
from peers.results import (
    IK,
    LLAMA,
    LLAMA_AVX2,
    OSSIA,
    OSSIA_AVX2,
    OSSIA_BF16,
    Results,
    Sample,
    shown,
)
from peers.server import Peer, running

SHORT = 32  # prompt tokens before decoding
CONTEXT = 8192
LONG = 8000  # tokens of the prompt after which our memory is looked at
BUFFER_BYTES = 2 << 30  # many times the caches, as `ossia bench run` has it
PLAIN, BUSY = ("decode", "streams_4", "streams_8"), ("decode_busy", "streams_4_busy")

STAGES = (
    f"{OSSIA}/prompts",
    f"{OSSIA}/decode",
    f"{OSSIA_BF16}/prompts",
    f"{OSSIA_AVX2}/prompts",
    f"{OSSIA_AVX2}/decode",
    f"{IK}/prompts",
    f"{IK}/decode",
    f"{LLAMA}/decode",
    f"{LLAMA}/prompts",
    f"{LLAMA_AVX2}/prompts",
)


class Engine(Protocol):
    """What a stage needs of whoever is measured."""

    @property
    def ready_s(self) -> float: ...
    @property
    def peak_rss_bytes(self) -> int: ...
    def prompt_rate(self, prompt: list[int]) -> float:
        """Tokens per second of a prompt."""
        ...

    def rate(self, prompts: list[list[int]], steps: int) -> float:
        """Tokens per second of all answers together."""
        ...


@dataclass(frozen=True)
class Ours:
    """Ossia in this process."""

    model: Model
    ready_s: float

    def prompt_rate(self, prompt: list[int]) -> float:
        started = time.perf_counter()
        times = asyncio.run(follow_all(self.model.backend, [prompt], 1))
        return len(prompt) / (times[0][0] - started)

    def rate(self, prompts: list[list[int]], steps: int) -> float:
        return joint_rate(asyncio.run(follow_all(self.model.backend, prompts, steps + 1)))

    @property
    def peak_rss_bytes(self) -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Stage:
    """Measures one engine: samples by figure, each with the probe beside it."""

    engine: Engine
    vocab_size: int
    sample_s: float
    samples: dict[str, list[Sample]] = field(default_factory=dict[str, list[Sample]])
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def prompt(self, tokens: int) -> list[int]:
        return self.rng.integers(0, self.vocab_size, tokens).tolist()

    def note(self, figure: str, value: float, bandwidth: float | None = None) -> None:
        print(f"  {figure} {value:.4g}", file=sys.stderr, flush=True)
        self.samples.setdefault(figure, []).append((value, bandwidth))

    def prompts(self, long: int) -> None:
        """Prompts of 512 twice, of 2,048 once, of `long` where that is not 0, and the memory after them."""
        self.engine.prompt_rate(self.prompt(64))  # warms up
        for length in (512, 512, 2048):
            self.note(f"prefill_{length}", self.engine.prompt_rate(self.prompt(length)))
        if long:
            self.note(f"prefill_{long}", self.engine.prompt_rate(self.prompt(long)))
        self.note("peak_rss_bytes", self.engine.peak_rss_bytes)

    def decode(self, figures: tuple[str, ...], rounds: int, busy_rounds: int) -> None:
        """Each of `figures` in turn, then those beside a process that takes a core."""
        self.engine.rate([self.prompt(SHORT)], 4)
        buffer = reading_buffer(BUFFER_BYTES)
        bandwidth = [read_bandwidth(buffer), read_bandwidth(buffer)]
        for _ in range(rounds):
            for figure in figures:
                rate = self.decode_once(figure)
                bandwidth.append(read_bandwidth(buffer))
                self.note(figure, rate, sum(bandwidth[-2:]) / 2)
        with another_process() if busy_rounds else no_process():
            for _ in range(busy_rounds):
                for figure in BUSY:
                    self.note(figure, self.decode_once(figure))

    def decode_once(self, figure: str) -> float:
        """A sample of about `sample_s` seconds; how many steps that is, the one before tells."""
        streams = int(figure.split("_")[1]) if figure.startswith("streams") else 1
        prompts = [self.prompt(SHORT) for _ in range(streams)]
        known = self.samples.get(figure)
        steps = int(np.clip(self.sample_s * known[-1][0] / streams, 8, 64)) if known else 8
        return self.engine.rate(prompts, steps)


@contextmanager
def another_process() -> Iterator[None]:
    """A process that does nothing but keep one core busy."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            time.sleep(0.5)
            yield
        finally:
            process.kill()


@contextmanager
def no_process() -> Iterator[None]:
    yield


@contextmanager
def ossia(found: FoundModel, engine: str, threads: int) -> Iterator[Engine]:
    numerics: Numerics = "bf16" if engine == OSSIA_BF16 else "q8"
    isa = "avx2" if engine == OSSIA_AVX2 else None
    started = time.perf_counter()
    model = load(
        str(found.path),
        numerics=numerics,
        isa=isa,
        threads=threads,
        max_context=CONTEXT,
        speculation=False,
    )
    ready_s = time.perf_counter() - started
    with model:
        yield Ours(model, ready_s)


@dataclass(frozen=True)
class PeerEngine:
    """A peer as a stage sees it."""

    peer: Peer

    @property
    def ready_s(self) -> float:
        return self.peer.ready_s

    @property
    def peak_rss_bytes(self) -> int:
        return self.peer.peak_rss_bytes

    def prompt_rate(self, prompt: list[int]) -> float:
        return self.peer.complete(prompt, 1)["prompt_per_second"]

    def rate(self, prompts: list[list[int]], steps: int) -> float:
        return self.peer.rate(prompts, steps)


@contextmanager
def served(engine: str, options: argparse.Namespace) -> Iterator[Engine]:
    server, more = servers(options)[engine]
    if server is None:
        raise SystemExit(f"where the server of {engine} is was not said")
    with running(server, options.gguf, options.threads, more) as peer:
        yield PeerEngine(peer)


def warm(path: Path) -> None:
    """Read a model's files once, so that they lie in the page cache as far as there is room."""
    piece = bytearray(16 << 20)
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(piece):
                pass


def run_stage(stage: str, options: argparse.Namespace) -> dict[str, Any]:
    """One stage's samples, the seconds it took, and who was measured."""
    started = time.perf_counter()
    engine, part = stage.split("/")
    settings = load_settings()
    cpu.configure("avx2" if engine == OSSIA_AVX2 else None, options.threads)
    found = locate(str(synthetic_folder(options.model, settings) or options.model), settings)
    config = config_of(found)
    ours = engine.startswith(OSSIA)
    warm(found.path if ours else options.gguf)
    with ossia(found, engine, options.threads) if ours else served(engine, options) as it:
        run = Stage(it, config.vocab_size, options.sample_s)
        run.note("ready_s", it.ready_s)
        if part == "prompts":
            run.prompts(LONG if engine == OSSIA else 0)
        elif engine == OSSIA_AVX2:
            run.decode(PLAIN[:1], options.rounds, 0)
        else:
            run.decode(PLAIN, options.rounds, options.busy_rounds)
    if engine == OSSIA and part == "decode":
        run.samples["decode_share"] = shares(run.samples["decode"], config)
    return {
        "samples": run.samples, "seconds": round(time.perf_counter() - started, 1),
        "threads": options.threads, "isa": cpu.current().isa if ours else "",
        "options": "" if ours else servers(options)[engine][1],
        "layers": config.num_hidden_layers, "synthetic": found.synthetic,
    }  # fmt: skip


def shares(samples: list[Sample], config: ModelConfig) -> list[Sample]:
    """The bytes that decoding read, per second, as a share of what the probe beside it read."""
    read = decode_cost(config, "q8", 1, SHORT, screened=load_settings().screened_head).read_bytes
    return [(rate * read / bandwidth, bandwidth) for rate, bandwidth in samples if bandwidth]


def servers(options: argparse.Namespace) -> dict[str, tuple[Path | None, str]]:
    """Every peer's server and its further options."""
    return {
        LLAMA: (options.llama_server, options.llama_options),
        IK: (options.ik_server, options.ik_options),
        LLAMA_AVX2: (options.llama_avx2_server, options.llama_options),
    }


def planned(options: argparse.Namespace) -> list[tuple[str, int]]:
    """Stages and passes that can be measured with the servers given, in order."""
    there = {name for name, (server, _) in servers(options).items() if server is not None}
    stages = [s for s in STAGES if s.split("/")[0] in there or s.startswith(OSSIA)]
    return [(s, turn) for turn in range(1, options.passes + 1) for s in options.stage or stages]


def print_table(results: Results) -> None:
    table = Table("", "ossia", "range", "peer", "", "range", "ratio", "equal bw", "goal", "", box=None)
    for line in results.lines():
        unit = line.row.unit
        theirs = ["", "", ""]
        if line.peer is not None and line.peer_range is not None:
            theirs = [line.row.peer, shown(line.peer, unit), spread(line.peer_range, unit)]
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        equal = "" if line.equal is None else f"{line.equal:.2f}"
        met = {None: "", True: "met", False: "missed"}[line.met]
        mine = [line.row.name, shown(line.ours, unit), spread(line.ours_range, unit)]
        table.add_row(*mine, *theirs, ratio, equal, line.goal, met)
    console = Console(width=160)
    console.print(table)
    for engine in (OSSIA, LLAMA, IK):
        if probes := results.bandwidth(engine):
            told = f"{median(probes) / 1e9:.1f} ({min(probes) / 1e9:.1f} … {max(probes) / 1e9:.1f}) GB/s"
            console.print(f"memory read beside {engine}: {told}", highlight=False)


def spread(pair: tuple[float, float], unit: str) -> str:
    return " … ".join(shown(value, unit) for value in pair)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="a JSON file, made or added to")
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--ik-server", type=Path)
    parser.add_argument("--llama-avx2-server", type=Path, help="llama.cpp built without AVX-512")
    parser.add_argument("--llama-options", default="-c 16384 -np 8 -kvu -fa on")
    parser.add_argument("--ik-options", default="-c 20480 -np 8 -fa on -rtr", help="its slots share nothing")
    parser.add_argument("--threads", type=int, default=cpu.default_threads())
    parser.add_argument("--passes", type=int, default=1, help="how often each engine has its turn")
    parser.add_argument("--stage", action="append", choices=STAGES, help="only these; may be repeated")
    parser.add_argument("--again", action="store_true", help="measure what is in the results file anew")
    parser.add_argument("--list", action="store_true", help="name the stages, and the seconds each took")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--busy-rounds", type=int, default=2)
    parser.add_argument("--sample-s", type=float, default=3.0)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # a stage and its pass, in this process
    return parser.parse_args()


def main() -> None:
    options = parse()
    if options.one:
        stage, turn = options.one[0], int(options.one[1])
        found = run_stage(stage, options)
        Results(options.results).add(stage, turn, found)
        return
    work = planned(options)
    if options.list:
        runs = Results(options.results).data["runs"]
        for stage, turn in work:
            took = runs.get(f"{stage} {turn}", {}).get("seconds")
            print(f"{stage:24} pass {turn}  {'to do' if took is None else f'{took} s'}")
        return
    for stage, turn in work:
        if options.again or not Results(options.results).has(stage, turn):
            print(f"{stage}, pass {turn} of {options.passes}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, *sys.argv, "--one", stage, str(turn)], check=True)
    print_table(Results(options.results))


if __name__ == "__main__":
    main()
