"""What an agent's user waits for: a long prompt, then tool calls, beside a peer's server.

`python bench/agent_turns.py MODEL --gguf FILE --server PATH [--results FILE]`. The first prompt has 10,000
tokens. A turn's answer has 150 (100 of analysis, 50 of the call); the next prompt is the last one, the call
and what the tool said: 300 new tokens, the analysis dropped, as Harmony asks for. So of what was computed
only the last prompt can be used again, not the answer behind it.

Both engines see the same prompts: weights may be random, so the call's tokens are scripted, and what the
engine itself says is only counted (greedy, no end token, nothing guessed ahead). "Recomputed" are tokens of
a prompt that the last one had already and that were computed again. Ossia counts them in its engine, the
server in its timings. Each is loaded alone, Ossia first, with prompt caches as set by default.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ossia.backends.native import NativeBackend
from ossia.bench.run import synthetic_folder
from ossia.hub.info import config_of
from ossia.hub.load import load
from ossia.hub.sources import locate
from ossia.kernels import cpu
from ossia.model.sampling import SamplingParams
from ossia.settings import load_settings
from peers.results import Results
from peers.server import Peer, running

ANALYSIS, CALL = 100, 50  # tokens of an answer
NEW = 300  # tokens that a turn adds to the prompt: the call and the tool's result


@dataclass(frozen=True)
class Turn:
    """One request: seconds until the first and the last token, tokens of the prompt that were computed, and
    those of them that an earlier request had computed already; processor seconds."""

    first_s: float
    seconds: float
    computed: int
    recomputed: int
    cpu_s: float


Ask = Callable[[list[int], int], Turn]


def prompts(first: int, calls: int, vocab_size: int, seed: int) -> list[list[int]]:
    """The first prompt and one for each tool call, every one the beginning of the next."""
    ids = np.random.default_rng(seed).integers(0, vocab_size, first + calls * NEW).tolist()
    return [ids[: first + i * NEW] for i in range(calls + 1)]


def through(ask: Ask, given: list[list[int]]) -> list[Turn]:
    """Ask one after the other; a prompt is known up to the length of the one before."""
    known = 0
    turns: list[Turn] = []
    for prompt in given:
        turns.append(ask(prompt, known))
        known = len(prompt)
        print(f"  {len(prompt):,} tokens: {turns[-1]}", flush=True)
    return turns


def ours(backend: NativeBackend) -> Ask:
    """Ossia in this process, counted by its engine."""

    async def follow(prompt: list[int]) -> tuple[list[float], int]:
        params = SamplingParams(max_tokens=ANALYSIS + CALL, temperature=0.0)
        async with aclosing(backend.generate(prompt, params)) as tokens:
            arrived = [(time.perf_counter(), token.cached) async for token in tokens]
        return [at for at, _ in arrived], arrived[0][1]

    def ask(prompt: list[int], known: int) -> Turn:
        started, cpu_s = time.perf_counter(), time.process_time()
        times, cached = asyncio.run(follow(prompt))
        computed = len(prompt) - cached
        return Turn(
            times[0] - started,
            times[-1] - started,
            computed,
            computed - (len(prompt) - known),
            time.process_time() - cpu_s,
        )

    return ask


def theirs(peer: Peer) -> Ask:
    """A server, by its own timings; the seconds until the last token are ours."""

    def ask(prompt: list[int], known: int) -> Turn:
        started, cpu_s = time.perf_counter(), peer.cpu_s
        timings = peer.complete(prompt, ANALYSIS + CALL, cached=True)
        seconds = time.perf_counter() - started
        computed = int(timings["prompt_n"])
        first_s = (timings["prompt_ms"] + timings["predicted_per_token_ms"]) / 1000
        return Turn(first_s, seconds, computed, computed - (len(prompt) - known), peer.cpu_s - cpu_s)

    return ask


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both engines' turns, by engine."""
    settings = load_settings()
    cpu.configure(None, options.threads)
    found = locate(str(synthetic_folder(options.model, settings) or options.model), settings)
    config = config_of(found)
    given = prompts(options.tokens, options.calls, config.vocab_size, options.seed)
    context = len(given[-1]) + ANALYSIS + CALL + 1
    engines: dict[str, list[Turn]] = {}
    with load(str(found.path), max_context=context, max_sequences=1, speculation=False) as model:
        assert isinstance(model.backend, NativeBackend), "its counters are the native engine's"
        through(ours(model.backend), [given[0][64::-1]])  # warms up
        print("ossia")
        engines["ossia"] = through(ours(model.backend), given)
    with running(options.server, options.gguf, options.threads, options.server_options) as peer:
        peer.complete(given[-1][-64:], 2)
        print(options.peer_name)
        engines[options.peer_name] = through(theirs(peer), given)
    return {
        "layers": config.num_hidden_layers, "synthetic": found.synthetic, "threads": options.threads,
        "tokens": options.tokens, "new": NEW, "answer": ANALYSIS + CALL, "options": options.server_options,
        "engines": {name: [asdict(turn) for turn in turns] for name, turns in engines.items()},
    }  # fmt: skip


def print_table(found: dict[str, Any]) -> None:
    title = f"{found['layers']} layers, {found['threads']} threads, answers of {found['answer']} tokens"
    table = Table("turn", title=title, box=None)
    for name in found["engines"]:
        for heading in ("first token, s", "turn, s", "computed", "recomputed", "CPU-s"):
            table.add_column(f"{name}\n{heading}", justify="right")
    for i in range(len(next(iter(found["engines"].values())))):
        cells = ["prompt" if i == 0 else f"call {i}"]
        for turns in found["engines"].values():
            t = turns[i]
            cells += [f"{t['first_s']:.2f}", f"{t['seconds']:.2f}", f"{t['computed']:,}"]
            cells += [f"{t['recomputed']:,}", f"{t['cpu_s']:.1f}"]
        table.add_row(*cells)
    Console(width=130).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--gguf", type=Path, required=True)
    parser.add_argument("--server", type=Path, required=True)
    parser.add_argument("--peer-name", default="llama.cpp")
    parser.add_argument("--server-options", default="-c 16384 -np 8 -kvu -fa on")
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--calls", type=int, default=5)
    parser.add_argument("--threads", type=int, default=cpu.default_threads())
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--results", type=Path, help="a results file of bench/compare.py to add this to")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.results:
        results = Results(options.results)
        results.data["agent_turns"] = found
        results.save()
    print(json.dumps(found, indent=1)) if options.json else print_table(found)


if __name__ == "__main__":
    main()
