"""How far each fast path is from exact arithmetic: KL divergence, top-1 agreement, and routing.

`python bench/accuracy.py MODEL [--tokens N] [--paths q8,q8+int8,bf16] [--gguf FILE --llama-logits PROGRAM]
[--results FILE]`. Exact is the same weights in float32 throughout (`--numerics f32`: bf16 and MXFP4 values as
they are). Every path reads the same text in windows, each from an empty cache; compared are the
distributions after every token, over the whole vocabulary.

The text is what this repository brings in English: the Universal Declaration of Human Rights, the README and
the pages in docs, or `--text FILE`. On a checkpoint of random weights its words mean nothing, but widths,
depths and routing are real. With `bench/peers/llama_logits.cc` compiled, llama.cpp's own logits for the same
weights (`bench/gguf_of.py`: dense parts in Q8_0, experts as they are) stand beside them: llama.cpp computed
those, nothing is emulated.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ossia.bench.run import synthetic_folder
from ossia.cli.tokens.declaration import read_declaration
from ossia.hub.load import load
from ossia.hub.sources import FoundModel, locate
from ossia.kernels import cpu
from ossia.model.batch import single_sequence
from ossia.model.checkpoint import open_checkpoint
from ossia.model.kv_cache import BLOCK, KVCache, kv_kind
from ossia.model.transformer import Transformer
from ossia.model.weights import load_weights
from ossia.settings import KVKind, Numerics, load_settings
from peers.results import Results

ROOT = Path(__file__).parents[1]
CHUNK = 256  # tokens of one forward pass
ROWS = 32  # distributions that are float64 at once
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Forward = Callable[[list[int]], tuple[Floats, Ints]]
"""Token ids of a window to logits (T, V) and the experts (layers, T, K) each token was sent to."""


@dataclass
class Distance:
    """One path against the exact one, over all tokens so far."""

    kl: list[float] = field(default_factory=list[float])
    same_top: list[bool] = field(default_factory=list[bool])
    exact_top: list[float] = field(default_factory=list[float])  # the exact path's largest probability
    rerouted: list[bool] = field(default_factory=list[bool])  # by token and layer: another set of experts

    def add(self, exact: tuple[Floats, Ints], other: tuple[Floats, Ints]) -> None:
        for start in range(0, len(exact[0]), ROWS):
            p, q = (log_softmax(logits[start : start + ROWS]) for logits in (exact[0], other[0]))
            self.kl += (np.exp(p) * (p - q)).sum(1).tolist()
            self.same_top += (p.argmax(1) == q.argmax(1)).tolist()
            self.exact_top += np.exp(p.max(1)).tolist()
        sets = [np.sort(experts, axis=2) for experts in (exact[1], other[1])]
        self.rerouted += (sets[0] != sets[1]).any(2).ravel().tolist()

    def summary(self) -> dict[str, float]:
        """Means and quantiles, in nats; `same_top` with the tokens where the exact path was undecided."""
        kl = np.array(self.kl)
        return {
            "tokens": len(kl),
            "kl_mean": float(kl.mean()),
            "kl_median": float(np.median(kl)),
            "kl_p99": float(np.quantile(kl, 0.99)),
            "kl_max": float(kl.max()),
            "same_top": mean(self.same_top),
            "exact_top_mean": mean(self.exact_top),
            "rerouted": mean(self.rerouted) if self.rerouted else 0.0,
        }


def log_softmax(logits: Floats) -> NDArray[np.float64]:
    x = logits.astype(np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))


def ossia_path(found: FoundModel, name: str, window: int) -> Forward:
    """Our own forward pass, a window at a time; `name` is numerics, or numerics+kind of K and V."""
    numerics, _, kind = cast("tuple[Numerics, str, KVKind | None]", name.partition("+"))
    checkpoint = open_checkpoint(found.path)
    config = checkpoint.config
    weights = load_weights(checkpoint, config, numerics)
    blocks = -(-window // BLOCK)
    model = Transformer(
        config,
        weights,
        KVCache(config, kv_kind(numerics, kind or None), blocks, blocks),
        numerics,
        max_batch_tokens=CHUNK,
        max_sequences=1,
        max_blocks=blocks,
    )

    def run(ids: list[int]) -> tuple[Floats, Ints]:
        logits = np.empty((len(ids), config.vocab_size), np.float32)
        experts: list[Ints] = []
        for start in range(0, len(ids), CHUNK):
            part = ids[start : start + CHUNK]
            logits[start : start + len(part)] = model.forward(single_sequence(part, start, all_logits=True))
            experts.append(model.routing(len(part)).copy())
        return logits, np.concatenate(experts, axis=1)

    return run


@contextmanager
def llama_path(program: Path, gguf: Path, threads: int) -> Iterator[Forward]:
    """llama.cpp's, computed by `program` in a process of its own."""
    command = [str(program), str(gguf), str(threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        to, back = process.stdin, process.stdout

        def run(ids: list[int]) -> tuple[Floats, Ints]:
            to.write(np.array([len(ids), *ids], np.int32).tobytes())
            to.flush()
            layers, k, vocab = (int(n) for n in read(back, 3, np.int32))
            logits = read(back, len(ids) * vocab, np.float32).reshape(len(ids), vocab)
            return logits, read(back, layers * len(ids) * k, np.int32).reshape(layers, len(ids), k)

        yield run
        to.close()


def read(stream: IO[bytes], count: int, kind: type[Any]) -> NDArray[Any]:
    out = np.empty(count, kind)
    view, at = memoryview(out).cast("B"), 0
    while at < len(view):
        got = cast(Any, stream).readinto(view[at:])
        if not got:
            raise SystemExit("the program of llama.cpp's logits ended")
        at += got
    return out


def english() -> str:
    """What this repository brings in English, always in the same order."""
    said = next(t.text for t in read_declaration() if t.code == "eng")
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return "\n\n".join([said, *(page.read_text() for page in pages)])


def windows(ids: list[int], wanted: int, window: int) -> list[list[int]]:
    """The first `wanted` tokens, cut; repeating the text would only measure the same again."""
    if len(ids) < wanted:
        print(f"the text has {len(ids):,} tokens, {wanted:,} were asked for", file=sys.stderr)
    ids = ids[:wanted]
    return [ids[i : i + window] for i in range(0, len(ids), window)]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    settings = load_settings()
    cpu.configure(settings.isa, options.threads)
    found = locate(str(synthetic_folder(options.model, settings) or options.model), settings)
    with load(str(found.path), max_context=2048, max_sequences=1) as model:
        ids = model.tok.encode(options.text.read_text() if options.text else english())
    cut = windows(ids, options.tokens, options.window)
    exact = ossia_path(found, "f32", options.window)
    with ExitStack() as stack:
        paths = {name: ossia_path(found, name, options.window) for name in options.paths.split(",")}
        if options.llama_logits:
            program = llama_path(options.llama_logits, options.gguf, options.threads)
            paths["llama.cpp Q8_0"] = stack.enter_context(program)
        distances = {name: Distance() for name in paths}
        for i, window in enumerate(cut):
            truth = exact(window)
            for name, path in paths.items():
                distances[name].add(truth, path(window))
                print(
                    f"window {i + 1} of {len(cut)}, {name}: {mean(distances[name].kl):.3g}", file=sys.stderr
                )
    return {
        "model": options.model, "synthetic": found.synthetic, "window": options.window,
        "paths": {name: distance.summary() for name, distance in distances.items()},
    }  # fmt: skip


def print_table(found: dict[str, Any]) -> None:
    table = Table("against float32", title=found["model"], box=None)
    for heading in ("tokens", "KL, mean", "median", "99 %", "largest", "same top-1", "other experts"):
        table.add_column(heading, justify="right")
    for name, s in found["paths"].items():
        kl = [f"{s[key]:.2e}" for key in ("kl_mean", "kl_median", "kl_p99", "kl_max")]
        table.add_row(name, f"{s['tokens']:,}", *kl, f"{s['same_top']:.2%}", f"{s['rerouted']:.2%}")
    Console(width=110).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", default="pocket")
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--window", type=int, default=1024)
    parser.add_argument(
        "--paths", default="q8,q8+int8,bf16", help="numerics, or numerics+type of the KV cache"
    )
    parser.add_argument("--text", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--llama-logits", type=Path, help="bench/peers/llama_logits.cc, compiled")
    parser.add_argument("--threads", type=int, default=cpu.default_threads())
    parser.add_argument("--results", type=Path, help="a results file of bench/compare.py to add this to")
    options = parser.parse_args()
    found = measure(options)
    if options.results:
        results = Results(options.results)
        every = results.data.setdefault("accuracy", {})
        known = every.get(options.model, {"paths": {}})
        every[options.model] = found | {"paths": known["paths"] | found["paths"]}
        results.save()
    print_table(found)


if __name__ == "__main__":
    main()
