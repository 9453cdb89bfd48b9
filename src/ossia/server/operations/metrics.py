"""What is counted, in Prometheus' format, with a registry of its own."""

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ossia.agent.events import Usage

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FIRST_TOKEN_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_RATES = (1, 2, 5, 10, 20, 40, 80, 160, 320, 640)
_SECONDS = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800)

Gauges = Callable[[], dict[str, float]]


class Metrics:
    """One per server; several in one process do not meet. `watch` adds gauges that are read when asked."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = self._counter("requests", "Requests that have ended.", "dialect", "status")
        self._seconds = self._histogram("request_seconds", "From a request to its end.", _SECONDS, "dialect")
        self._answers = self._counter("answers", "Answers by how they ended.", "model", "finish")
        self._prompt = self._counter("prompt_tokens", "Tokens of prompts.", "model")
        self._cached = self._counter("cached_tokens", "Of these, not computed again.", "model")
        self._output = self._counter("output_tokens", "Tokens generated.", "model")
        self._reasoning = self._counter("reasoning_tokens", "Of these, chain of thought.", "model")
        self._first = self._histogram("first_token_seconds", "To the first token.", _FIRST_TOKEN_S, "model")
        self._rate = self._histogram(
            "tokens_per_second", "Of an answer, after its first token.", _RATES, "model"
        )
        self._queue = self._histogram("queue_seconds", "Waited for a place and the model.", _SECONDS)

    def request(self, dialect: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(dialect, str(status)).inc()
        self._seconds.labels(dialect).observe(seconds)

    def waited(self, seconds: float) -> None:
        """Count a wait in the queue."""
        self._queue.observe(seconds)

    def answer(self, model: str, finish: str, usage: Usage | None, rate: float | None) -> None:
        """Count an answer that has ended; `usage` is None where its reader left it."""
        self._answers.labels(model, finish).inc()
        if usage is None:
            return
        self._prompt.labels(model).inc(usage.prompt_tokens)
        self._cached.labels(model).inc(usage.cached_tokens)
        self._output.labels(model).inc(usage.output_tokens)
        self._reasoning.labels(model).inc(usage.reasoning_tokens)
        if usage.first_token_s is not None:
            self._first.labels(model).observe(usage.first_token_s)
        if rate is not None:
            self._rate.labels(model).observe(rate)

    def watch(self, gauges: Gauges) -> None:
        """Show what `gauges` returns by name, each time the metrics are read."""
        self._registry.register(_Reader(gauges))

    def text(self) -> bytes:
        """Everything, as it is scraped."""
        return generate_latest(self._registry)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"ossia_{name}", about, labels, registry=self._registry)

    def _histogram(self, name: str, about: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"ossia_{name}", about, labels, buckets=buckets, registry=self._registry)


class _Reader(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        for name, value in self._gauges().items():
            yield GaugeMetricFamily(f"ossia_{name}", f"{name.replace('_', ' ')}, now.", value)


def numbers(stats: object, prefix: str = "engine_") -> dict[str, float]:
    """The numbers of a dataclass of counters, those inside it too, by prefixed name."""
    found: dict[str, float] = {}
    for name, value in asdict(stats).items():  # type: ignore[call-overload]
        if isinstance(value, int | float):
            found[prefix + name] = float(value)
    return found
