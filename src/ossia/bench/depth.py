"""Decoding behind a long context whose keys and values are random.

Computing 32,768 tokens before the one to be timed takes minutes to hours; reading them costs the same
whatever they hold. So the full layers' cache is filled with random values, and what is decoded is noise.
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ossia.bench.report import Figure
from ossia.bench.run import synthetic_folder
from ossia.bench.workload import decode_cost
from ossia.hub.default import choose_default
from ossia.hub.progress import Progress, silent
from ossia.hub.sources import locate, require_loadable
from ossia.kernels import cpu
from ossia.kernels.probe import peak_ops, read_bandwidth, reading_buffer
from ossia.kernels.tensors import KVLayer, f32_to_bf16
from ossia.model.batch import single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.config import ModelConfig
from ossia.model.kv_cache import BLOCK, KVCache, kv_kind, layer_group
from ossia.model.plan import MemoryPlan, memory_plan
from ossia.model.sampling import Ask, SamplingParams, Token
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights
from ossia.settings import KVKind, Numerics, Settings, load_settings

_SHORT = 32  # tokens before the decoding that the deep one is compared with
_PATTERN = 8  # different blocks; they are repeated
_LEAST_STEPS, _MOST_STEPS = 4, 64
_BUFFER_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class DepthReport:
    """Tokens per second behind few and behind `depth` tokens, a pair for every round, each with its roofline.

    `plan`: memory for the model's whole context, with K and V as measured.
    """

    model: str
    synthetic: bool
    numerics: Numerics
    kv_cache: KVKind
    isa: str
    threads: int
    layers: int
    depth: int
    kv_bytes: int
    short: Figure
    deep: Figure
    context: int
    plan: MemoryPlan

    @property
    def share(self) -> float:
        """The median of the rounds' quotients, deep over short."""
        return statistics.median(d / s for d, s in zip(self.deep.samples, self.short.samples, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object."""
        plan = asdict(self.plan) | {"total": self.plan.total}
        medians = {"short_tok_s": self.short.tok_s, "deep_tok_s": self.deep.tok_s}
        return asdict(self) | medians | {"share": self.share, "plan": plan, "random_kv": True}


def measure_depth(
    name: str | None = None,
    depth: int = 32_768,
    *,
    rounds: int = 5,
    sample_s: float = 3.0,
    progress: Progress = silent,
    settings: Settings | None = None,
) -> DepthReport:
    """Decode the model called `name` behind 32 and behind `depth` tokens in turn, `rounds` times.

    Numerics, KV type and threads are the settings'; `depth` is cut to what the model's positions leave room
    for. Raises what `ossia.load` raises for a name it does not find or files it cannot read.
    """
    settings = settings or load_settings()
    wanted = choose_default(name, settings)
    folder = synthetic_folder(wanted, settings)
    found = locate(wanted if folder is None else str(folder), settings)
    require_loadable(found)
    cpu.configure(settings.isa, settings.threads)
    checkpoint = open_checkpoint(found.path)
    config, numerics = checkpoint.config, settings.numerics
    kind = kv_kind(numerics, settings.kv_cache)
    depth = min(depth, config.max_position_embeddings - _MOST_STEPS)
    blocks = -(-(depth + _MOST_STEPS) // BLOCK)
    weights = load_weights(
        checkpoint, config, numerics, lambda done, total: progress(f"loading {found.name}", done, total)
    )
    kv = KVCache(config, kind, blocks, blocks)
    _fill(kv, config)
    decoding = _Decoding(Transformer(config, weights, kv, numerics, 1, 1, blocks), kind)
    short, deep = decoding.in_turn((_SHORT, depth), rounds, sample_s, progress)
    running, context = cpu.current(), config.max_position_embeddings
    return DepthReport(
        model=wanted,
        synthetic=found.synthetic,
        numerics=numerics,
        kv_cache=kind,
        isa=running.isa,
        threads=running.threads,
        layers=config.num_hidden_layers,
        depth=depth,
        kv_bytes=sum(kv.layers[i].k.nbytes + kv.layers[i].v.nbytes for i in _full_layers(config)),
        short=short,
        deep=deep,
        context=context,
        plan=memory_plan(config, numerics, context, kv_cache=kind),
    )


@dataclass(frozen=True, slots=True)
class _Decoding:
    model: Transformer
    kind: KVKind

    def in_turn(
        self, depths: tuple[int, int], rounds: int, sample_s: float, progress: Progress
    ) -> tuple[Figure, Figure]:
        """Rates behind either depth, with the rooflines of the bandwidth probed around each sample."""
        config, numerics = self.model.config, self.model.numerics
        buffer, peak = reading_buffer(_BUFFER_BYTES), peak_ops(numerics).ops_s
        costs = [decode_cost(config, numerics, 1, at, self.kind, screened=True) for at in depths]
        steps = [self._steps(at, sample_s) for at in depths]
        rates: tuple[list[float], ...] = ([], [])
        rooflines: tuple[list[float], ...] = ([], [])
        bandwidth = read_bandwidth(buffer)
        for i in range(2 * rounds):
            which = i % 2
            progress("measuring", i, 2 * rounds)
            rates[which].append(self._rate(depths[which], steps[which]))
            before, bandwidth = bandwidth, read_bandwidth(buffer)
            rooflines[which].append(1 / costs[which].seconds((before + bandwidth) / 2, peak))
        short, deep = (Figure(tuple(r), tuple(b)) for r, b in zip(rates, rooflines, strict=True))
        return short, deep

    def _rate(self, depth: int, steps: int) -> float:
        """Greedy tokens per second behind `depth` others; the first one is not timed."""
        params, token, started = SamplingParams(temperature=0.0), 0, 0.0
        for at in range(depth, depth + steps + 1):
            (answer,) = self.model.sample(single_sequence([token], at), [Ask(params, at, 0)])
            assert isinstance(answer, Token), "a greedy choice without a mask failed"
            token, started = answer.id, started or time.perf_counter()
        return steps / (time.perf_counter() - started)

    def _steps(self, depth: int, sample_s: float) -> int:
        """How many take about `sample_s`."""
        return int(np.clip(sample_s * self._rate(depth, 2), _LEAST_STEPS, _MOST_STEPS - 1))


def _full_layers(config: ModelConfig) -> Iterator[int]:
    return (i for i in range(config.num_hidden_layers) if layer_group(config, i) == "full")


def _fill(kv: KVCache, config: ModelConfig) -> None:
    """Random K and V in every block of the full layers; a page never written would be read from a cache."""
    rng = np.random.default_rng(0)
    for i in _full_layers(config):
        _fill_layer(kv.layers[i], rng)


def _fill_layer(layer: KVLayer, rng: np.random.Generator) -> None:
    for stored in (layer.k, layer.v):
        shape = (_PATTERN, *stored.shape[1:])
        if stored.dtype == np.int8:
            some = rng.integers(-127, 128, shape, np.int8)
            scale = f32_to_bf16(np.array([1 / 64], np.float32)).view(np.int8)
            some[:, :, -2:] = np.tile(scale, 64).reshape(2, 64)
        else:
            values = rng.standard_normal(shape, np.float32)
            some = values if stored.dtype == np.float32 else f32_to_bf16(values)
        for start in range(0, len(stored), _PATTERN):
            part = stored[start : start + _PATTERN]
            part[...] = some[: len(part)]
