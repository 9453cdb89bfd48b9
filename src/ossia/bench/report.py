"""What a run found, as values: medians with their spread, and the rooflines beside them."""

from dataclasses import dataclass
from statistics import median
from typing import Any

from ossia.bench.workload import Cost
from ossia.kernels.experts import ExpertCounts
from ossia.settings import KVKind, Numerics


@dataclass(frozen=True, slots=True)
class Figure:
    """Tokens per second of several rounds, and for each round the roofline of what was probed beside it."""

    samples: tuple[float, ...]
    rooflines: tuple[float, ...]

    @property
    def tok_s(self) -> float:
        return median(self.samples)

    @property
    def roofline_tok_s(self) -> float:
        return median(self.rooflines)

    @property
    def share(self) -> float:
        """The median of each round's share of its own roofline: the machine may drift, the share does not."""
        return median(s / r for s, r in zip(self.samples, self.rooflines, strict=True))


@dataclass(frozen=True, slots=True)
class Report:
    """One model on one machine. Names of `figures`: decode, streams_4, streams_8, prefill_512, prefill_2048,
    depth; one that the model's context has no room for is missing.

    `load_s`: from the name to a ready model; `first_token_s`: from the name to the first token of a short
    prompt. `peak_rss_bytes`: most memory of the process, pages of mapped weights included, at a context of
    `context_length`. `bandwidth` and `peak`: every probe, bytes and operations per second. `cost`: what a
    decoded token takes. `experts`: where they stream, what was asked for and read in the whole run.
    """

    model: str
    synthetic: bool
    numerics: Numerics
    kv_cache: KVKind
    isa: str
    threads: int
    layers: int
    context_length: int
    depth: int
    cost: Cost
    figures: dict[str, Figure]
    load_s: float
    first_token_s: float
    peak_rss_bytes: int
    bandwidth: tuple[float, ...]
    peak: tuple[float, ...]
    peak_kind: str
    disk_bytes_s: float | None
    experts: ExpertCounts | None = None

    def first_token_of(self, length: int) -> float | None:
        """Seconds from a request of so many tokens to its first token, on a ready model; the median."""
        figure = self.figures.get(f"prefill_{length}")
        return None if figure is None else length / figure.tok_s

    def to_dict(self) -> dict[str, Any]:
        """The report as one JSON object; figures that could not be measured are null."""
        values: dict[str, Any] = {
            "model": self.model,
            "synthetic": self.synthetic,
            "numerics": self.numerics,
            "kv_cache": self.kv_cache,
            "isa": self.isa,
            "threads": self.threads,
            "layers": self.layers,
            "context_length": self.context_length,
            "load_s": self.load_s,
            "first_token_s": self.first_token_s,
            "peak_rss_bytes": self.peak_rss_bytes,
            "bandwidth_bytes_s": median(self.bandwidth),
            "bandwidth_range_bytes_s": [min(self.bandwidth), max(self.bandwidth)],
            "flop_s": median(self.peak),
            "flop_s_range": [min(self.peak), max(self.peak)],
            "flop_s_kind": self.peak_kind,
            "disk_bytes_s": self.disk_bytes_s,
            "expert_hit_rate": None if self.experts is None else self.experts.hit_rate,
            "expert_read_bytes": None if self.experts is None else self.experts.read_bytes,
            "decode_read_bytes": self.cost.read_bytes,
            "decode_ops": self.cost.ops,
            "depth_tokens": self.depth,
        }
        for name in ("decode", "streams_4", "streams_8", "prefill_512", "prefill_2048", "depth"):
            values |= _figure(name, self.figures.get(name))
        for length in (512, 2048):
            values[f"first_token_{length}_s"] = self.first_token_of(length)
        lines = [values[f"prefill_{n}_roofline_tok_s"] for n in (2048, 512)]
        values["prefill_roofline_tok_s"] = lines[0] or lines[1]
        return values


def _figure(name: str, figure: Figure | None) -> dict[str, Any]:
    if figure is None:
        return {f"{name}{key}": None for key in ("_tok_s", "_range_tok_s", "_roofline_tok_s", "_share")}
    return {
        f"{name}_tok_s": figure.tok_s,
        f"{name}_range_tok_s": [min(figure.samples), max(figure.samples)],
        f"{name}_roofline_tok_s": figure.roofline_tok_s,
        f"{name}_share": figure.share,
    }
