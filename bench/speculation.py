"""What guessing ahead brings: tokens per second with speculation over those without, in turn in one run.

Two kinds of answers: free text, and text that repeats its prompt. A model of random weights says nothing
sensible, so a mask makes it repeat the prompt: every id is sampled and verified, only its probability is not
the model's; `--right` is how often it does. Decoding alone is timed, from the first token to the last.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ossia
from ossia.agent.card import opening
from ossia.bench.run import synthetic_folder
from ossia.harmony.messages import Conversation, user
from ossia.harmony.render import assistant_opening, render_conversation
from ossia.model.sampling import SamplingParams
from ossia.settings import load_settings

TEXT = (
    "The lighthouse at Marrow Point was built in 1871 by a crew of nineteen masons under Edith Calder, "
    "who had never seen the sea before that spring. Its lamp burned whale oil for eleven years, then "
    "paraffin, and since 1934 electricity brought over the causeway by cable. The keeper, Jonas Pell, "
    "kept a diary of the weather, the ships and the price of flour. On 3 March 1889 he wrote: wind north "
    "by east, two colliers and a brig, flour four shillings. In the winter of 1902 the causeway broke in "
    "three places, and for six weeks the mail came by rowing boat. Calder returned once, as an old woman, "
    "and complained about the paint. The tower is 31 metres high, has 148 steps, and leans 9 centimetres "
    "to the west, which visitors say they can feel."
)
FREE = (
    "Write a story about a boat that learns to fly.",
    "Explain why bread rises.",
    "Describe a market in the early morning.",
    "What should a good teacher know?",
    "Tell me about a journey by train.",
)


class Copying:
    """A TokenMask that leaves one id a place: the prompt's next one, or one time in so many another."""

    finished = False

    def __init__(self, ids: Sequence[int], right: float, vocab: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        wrong = rng.random(len(ids)) >= right
        self._ids = np.where(wrong, rng.integers(0, vocab, len(ids)), ids)
        self._at = 0

    def mask(self, out: NDArray[np.uint8]) -> None:
        out[:] = 0
        out[self._ids[self._at]] = 1

    def advance(self, ids: Sequence[int]) -> None:
        self._at += len(ids)

    def forced(self) -> list[int]:
        return []

    def rollback(self, n: int) -> None:
        self._at -= n


@dataclass(frozen=True, slots=True)
class Request:
    """One answer to time: its prompt and how it is sampled, new each time for a mask has state."""

    prompt: list[int]
    params: Callable[[], SamplingParams]


async def decode_rate(
    model: "ossia.Model", requests: Sequence[Request]
) -> tuple[float, float, list[list[int]]]:
    """Tokens per second of wall and of processor time, and the answers."""
    started = asyncio.Barrier(len(requests))
    begun = (0.0, 0.0)

    async def follow(request: Request) -> list[int]:
        nonlocal begun
        ids: list[int] = []
        async for token in model.backend.generate(request.prompt, request.params()):
            if not ids:
                await started.wait()
                begun = time.perf_counter(), time.process_time()
            ids.append(token.id)
        return ids

    answers = await asyncio.gather(*map(follow, requests))
    n = sum(len(ids) - 1 for ids in answers)
    return n / (time.perf_counter() - begun[0]), n / (time.process_time() - begun[1]), answers


def texts(model: "ossia.Model", args: argparse.Namespace, turn: int) -> dict[str, list[Request]]:
    """Kinds of answers of a model that can talk."""

    def ask(text: str, temperature: float, seed: int) -> Request:
        marks = model.tok.markers
        question = render_conversation(
            Conversation((*opening(model.card, effort="low"), user(text))), model.tok
        )
        final = [marks.channel, *model.tok.encode("final"), marks.message]
        prompt = [*question, *assistant_opening(model.tok), *final]
        params = SamplingParams(
            max_tokens=args.tokens, temperature=temperature, seed=seed, stop_ids=model.tok.markers.stop_ids
        )
        return Request(prompt, lambda: params)

    names = ["Anna Lind", "Ruth Okafor", "Mei Tanaka", "Clara Dunn", "Ida Novak", "Eva Rossi", "Lena Vogt"]
    repeat = f"Repeat this text word for word.\n\n{TEXT.replace('Edith Calder', names[turn % len(names)])}"
    n = args.streams
    return {
        "free text": [ask(FREE[(turn + i) % len(FREE)], 1.0, turn + i) for i in range(n)],
        "repeats its prompt": [ask(repeat, 0.0, turn + i) for i in range(n)],
    }


def noise(model: "ossia.Model", args: argparse.Namespace, turn: int) -> dict[str, list[Request]]:
    """Kinds of answers of random weights."""
    rng = np.random.default_rng(turn)
    vocab = model.tok.vocab_size

    def ask(copying: bool, seed: int) -> Request:
        text = rng.integers(0, vocab, args.tokens + 1).tolist()

        def params() -> SamplingParams:
            mask = Copying(text, args.right, vocab, seed) if copying else None
            return SamplingParams(max_tokens=args.tokens, temperature=1.0, seed=seed, mask=mask)

        return Request([*text, *rng.integers(0, vocab, 3).tolist()], params)

    n = args.streams
    return {
        "free text": [ask(False, turn + i) for i in range(n)],
        f"repeats its prompt ({args.right:.0%})": [ask(True, turn + i) for i in range(n)],
    }


def measure(args: argparse.Namespace) -> None:
    settings = load_settings()
    folder = synthetic_folder(args.model, settings)
    name = args.model if folder is None else str(folder)
    kinds = texts if folder is None else noise
    options = {"max_context": 4096, "settings": settings, "threads": args.threads}
    with ossia.load(name, speculation=False, **options) as off, ossia.load(name, **options) as on:
        models = {"off": off, "on": on}
        ratios: dict[str, list[tuple[float, float]]] = {}
        rates: dict[tuple[str, str], list[float]] = {}
        for turn in range(args.rounds + 1):
            for kind, requests in kinds(on, args, turn).items():
                before = on.backend.stats
                got = {
                    key: asyncio.run(decode_rate(models[key], requests))
                    for key in (("off", "on"), ("on", "off"))[turn % 2]
                }
                assert got["on"][2] == got["off"][2], "speculation changed an answer"
                if turn == 0:
                    continue  # warms up
                ratios.setdefault(kind, []).append(
                    (got["on"][0] / got["off"][0], got["on"][1] / got["off"][1])
                )
                for key, result in got.items():
                    rates.setdefault((kind, key), []).append(result[0])
                if args.verbose:
                    after = on.backend.stats
                    drafted = after.drafted_tokens - before.drafted_tokens
                    accepted = after.accepted_tokens - before.accepted_tokens
                    tokens = [len(ids) for ids in got["on"][2]]
                    print(f"  {kind}: {ratios[kind][-1]} {tokens=} {drafted=} {accepted=}")
                    costs = on.backend._engine._speculation.costs._seconds
                    print("   ", {k: round(v * 1e3, 1) for k, v in sorted(costs.items())})
    print(f"{args.model}, {args.streams} at once, {args.rounds} rounds, answers up to {args.tokens} tokens")
    for kind, pairs in ratios.items():
        wall, processor = ([pair[i] for pair in pairs] for i in range(2))
        print(
            f"{kind:28} {statistics.median(rates[kind, 'off']):8.1f}"
            f" → {statistics.median(rates[kind, 'on']):8.1f} tok/s"
            f"   × {statistics.median(wall):.3f} ({min(wall):.2f}–{max(wall):.2f})"
            f"   processor time × {statistics.median(processor):.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="pocket")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--right", type=float, default=1.0)
    parser.add_argument("--verbose", action="store_true")
    measure(parser.parse_args())


if __name__ == "__main__":
    main()
