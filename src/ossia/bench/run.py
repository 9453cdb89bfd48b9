"""Measures one model through its backend, with token ids and no text, probes in turn with the figures.

Prompts are random and new in every round, so no prefix cache helps; only the prompt before "decode at depth"
is computed once and found again.
"""

import asyncio
import resource
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ossia.backends.base import Backend
from ossia.backends.native import NativeBackend
from ossia.bench.disk import sequential_read
from ossia.bench.make import bench_dir
from ossia.bench.report import Figure, Report
from ossia.bench.workload import decode_cost, prefill_ops
from ossia.hub.default import choose_default
from ossia.hub.info import config_of
from ossia.hub.load import load
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import FoundModel, locate
from ossia.kernels import cpu
from ossia.kernels.experts import ExpertCounts
from ossia.kernels.probe import peak_ops, read_bandwidth, reading_buffer
from ossia.model.config import ModelConfig
from ossia.model.kv_cache import kv_kind
from ossia.model.sampling import SamplingParams
from ossia.settings import KVKind, Numerics, Settings, load_settings

_CONTEXT = 8192
_SHORT = 32  # prompt tokens before a decode measurement
_LEAST_STEPS, _MOST_STEPS = 8, 64


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure: rounds, seconds of decoding for a sample, and the depth of the deep decode."""

    rounds: int = 5
    prefill_rounds: int = 3
    sample_s: float = 3.0
    depth: int = 4096
    buffer_bytes: int = 2 << 30
    probe_s: float = 0.2


QUICK = Plan(rounds=2, prefill_rounds=1, sample_s=1.0, depth=2048, buffer_bytes=1 << 30, probe_s=0.1)


def synthetic_folder(name: str, settings: Settings) -> Path | None:
    """The synthetic checkpoint called `name` (``20b``, ``bench/20b-4-layers``), if there is one."""
    folder = bench_dir(settings) / name.removeprefix("bench/")
    inside = folder.parent == bench_dir(settings) and (folder / "config.json").is_file()
    return folder if inside else None


def bench_model(
    name: str | None = None,
    *,
    plan: Plan | None = None,
    progress: Progress = silent,
    settings: Settings | None = None,
) -> Report:
    """Measure the model called `name` (any name `ossia.load` takes, or a synthetic checkpoint's).

    Threads, numerics and instruction set are the settings'. Raises what `ossia.load` raises.
    """
    settings = settings or load_settings()
    plan = plan or Plan()
    wanted = choose_default(name, settings)
    folder = synthetic_folder(wanted, settings)
    found = locate(wanted if folder is None else str(folder), settings)
    config = config_of(found) if found.complete else None
    context = max(_CONTEXT, plan.depth + _MOST_STEPS + 1)
    if config is not None:
        context = min(context, config.max_position_embeddings)
    started = time.perf_counter()
    # Without speculation: a roofline counts every token, and answers to random prompts may repeat themselves.
    settings = replace(settings, speculation=False)
    with load(str(found.path), max_context=context, progress=progress, settings=settings) as model:
        loaded = time.perf_counter() - started
        assert config is not None, "an incomplete model was loaded"
        kind = kv_kind(settings.numerics, settings.kv_cache)
        run = _Run(model.backend, config, settings.numerics, kind, plan, progress, settings.screened_head)
        first = asyncio.run(follow(model.backend, run.prompt(_SHORT), 1))[0] - started
        run.measure()
        return _report(found, wanted, run, loaded, first)


def _report(found: FoundModel, name: str, run: "_Run", load_s: float, first_token_s: float) -> Report:
    cpu_plan = cpu.current()
    return Report(
        model=name,
        synthetic=found.synthetic,
        numerics=run.numerics,
        kv_cache=run.kv_cache,
        isa=cpu_plan.isa,
        threads=cpu_plan.threads,
        layers=run.config.num_hidden_layers,
        context_length=run.backend.context_length,
        depth=run.depth,
        cost=decode_cost(run.config, run.numerics, 1, _SHORT, run.kv_cache, screened=run.screened),
        figures={name: Figure(tuple(s), tuple(run.rooflines[name])) for name, s in run.samples.items()},
        load_s=load_s,
        first_token_s=first_token_s,
        peak_rss_bytes=run.peak_rss_bytes,
        bandwidth=tuple(run.bandwidth),
        peak=tuple(run.peak),
        peak_kind=run.peak_kind,
        disk_bytes_s=sequential_read(_largest_file(found.path)),
        experts=experts_of(run.backend),
    )


def experts_of(backend: Backend) -> ExpertCounts | None:
    """What was asked for and read where experts stream; None where all are in memory."""
    return backend.stats.experts if isinstance(backend, NativeBackend) else None


@dataclass(slots=True)
class _Run:
    backend: Backend
    config: ModelConfig
    numerics: Numerics
    kv_cache: KVKind
    plan: Plan
    progress: Progress
    screened: bool = True  # the LM head
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    rooflines: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    bandwidth: list[float] = field(default_factory=list[float])
    peak: list[float] = field(default_factory=list[float])
    peak_kind: str = ""
    peak_rss_bytes: int = 0
    depth: int = 0
    _done: int = 0
    # Unseeded: a prefix cache may outlive the process, and would know the prompts of the run before.
    _rng: np.random.Generator = field(default_factory=np.random.default_rng)
    _deep: list[int] = field(default_factory=list[int])

    def prompt(self, tokens: int) -> list[int]:
        """A new prompt of random ids."""
        return self._rng.integers(0, self.config.vocab_size, tokens).tolist()

    def measure(self) -> None:
        """Everything; prompts first, so that the peak of memory is known before the probe takes its own."""
        room = self.backend.context_length - _MOST_STEPS - 1
        self.depth = min(self.plan.depth, room)
        self._probe_peak()
        self._streams_rate(8, 2)  # warms up
        for _ in range(self.plan.prefill_rounds):
            for length in (512, 2048):
                if length <= room:
                    self._prefill(length)
        self._deep += self.prompt(self.depth - len(self._deep))
        self._say("depth")
        asyncio.run(follow(self.backend, self._deep, 1))
        self.peak_rss_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        streams = experts_of(self.backend) is not None  # then memory is short
        self._decode_rounds(reading_buffer(self.plan.buffer_bytes // (8 if streams else 1)))

    def _prefill(self, length: int) -> None:
        """A new prompt, between two probes of the peak."""
        self._say(f"prefill_{length}")
        ids = self.prompt(length)
        before = self.peak[-1]
        started = time.perf_counter()
        took = asyncio.run(follow(self.backend, ids, 1))[0] - started
        peak = (before + self._probe_peak()) / 2
        self._deep = ids[: self.depth]
        self._note(f"prefill_{length}", length / took, length * peak / prefill_ops(self.config, length))

    def _probe_peak(self) -> float:
        probed = peak_ops(self.numerics, self.plan.probe_s)
        self.peak.append(probed.ops_s)
        self.peak_kind = probed.instruction
        return probed.ops_s

    def _decode_rounds(self, buffer: NDArray[np.uint8]) -> None:
        """All kinds of decoding in turn, each sample between two probes of the bandwidth."""
        steps = {name: self._steps(name) for name in ("decode", "streams_4", "streams_8", "depth")}
        self.bandwidth.append(read_bandwidth(buffer))
        for _ in range(self.plan.rounds):
            for name in steps:
                self._say(name)
                rate = self._decode(name, steps[name])
                self.bandwidth.append(read_bandwidth(buffer))
                bandwidth = sum(self.bandwidth[-2:]) / 2
                self._note(name, rate, self._decode_roofline(name, bandwidth))

    def _decode(self, name: str, steps: int) -> float:
        if name == "depth":
            return self._decode_rate(self._deep, steps)
        streams = _streams(name)
        return (
            self._decode_rate(self.prompt(_SHORT), steps)
            if streams == 1
            else self._streams_rate(streams, steps)
        )

    def _decode_roofline(self, name: str, bandwidth: float) -> float:
        depth = self.depth if name == "depth" else _SHORT
        cost = decode_cost(
            self.config, self.numerics, _streams(name), depth, self.kv_cache, screened=self.screened
        )
        return _streams(name) / cost.seconds(bandwidth, max(self.peak))

    def _steps(self, name: str) -> int:
        """Steps that take about `sample_s`, found by a short try."""
        steps_s = self._decode(name, 2) / _streams(name)
        return int(np.clip(self.plan.sample_s * steps_s, _LEAST_STEPS, _MOST_STEPS))

    def _decode_rate(self, prompt: list[int], steps: int) -> float:
        times = asyncio.run(follow(self.backend, prompt, steps + 1))
        return steps / (times[-1] - times[0])

    def _streams_rate(self, streams: int, steps: int) -> float:
        """Tokens per second of all together."""
        prompts = [self.prompt(_SHORT) for _ in range(streams)]
        return joint_rate(asyncio.run(follow_all(self.backend, prompts, steps + 1)))

    def _note(self, name: str, rate: float, roofline: float) -> None:
        self.samples.setdefault(name, []).append(rate)
        self.rooflines.setdefault(name, []).append(roofline)

    def _say(self, what: str) -> None:
        total = 2 * self.plan.prefill_rounds + 1 + 4 * self.plan.rounds
        self.progress(f"measuring {what}", self._done, total)
        self._done += 1


def joint_rate(arrivals: Sequence[Sequence[float]]) -> float:
    """Tokens per second of all streams, from when the last has begun until the first has ended.

    Where there is no such time (a stream was over before another began), from the first token to the last.
    """
    begin, end = max(times[0] for times in arrivals), min(times[-1] for times in arrivals)
    if end <= begin:
        begin, end = min(times[0] for times in arrivals), max(times[-1] for times in arrivals)
    return sum(begin < at <= end for times in arrivals for at in times) / (end - begin)


def _streams(name: str) -> int:
    return int(name.removeprefix("streams_")) if name.startswith("streams_") else 1


async def follow(backend: Backend, prompt: list[int], count: int) -> list[float]:
    """When each of `count` greedy tokens arrived, by the performance counter."""
    params = SamplingParams(max_tokens=count, temperature=0.0)
    async with aclosing(backend.generate(prompt, params)) as tokens:
        return [time.perf_counter() async for _ in tokens]


async def follow_all(backend: Backend, prompts: list[list[int]], count: int) -> list[list[float]]:
    """The same of several prompts together."""
    return await asyncio.gather(*(follow(backend, prompt, count) for prompt in prompts))


def _largest_file(path: Path) -> Path:
    if path.is_file():
        return path
    return max((file for file in path.iterdir() if file.is_file()), key=lambda file: file.stat().st_size)
