"""Measures pocket: form, tool calls, restraint, length of reasoning, and perplexity beside its base.

    python -m ossia.posttrain.measure.evaluate --base BASE.gguf --run FOLDER [--held-out 120] [--report FILE]

Temperature 0, the weights rounded as the checkpoint's are (MXFP4 experts, the rest bfloat16), computed in
torch. With `--checkpoint FOLDER` instead of `--run` the answers come from Ossia's own engine.
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

import argparse
import asyncio
import json
import math
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from statistics import median

import numpy as np
import torch

from ossia.backends.base import Backend
from ossia.harmony.messages import EFFORTS
from ossia.harmony.render import render_conversation
from ossia.hub.load import load
from ossia.hub.pocket.gguf import read_gguf
from ossia.hub.pocket.layout import Base, Channels
from ossia.model.sampling import SamplingParams, Token
from ossia.posttrain.examples import talks_of
from ossia.posttrain.measure.cases import Case, Verdict, handwritten, held_out, judge
from ossia.posttrain.network import Network
from ossia.posttrain.samples import load_samples
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer

MAX_TOKENS = 420
_BATCH = 30
Generate = Callable[[Sequence[list[int]]], list[list[int]]]


def load_network(base: Path, run: Path) -> Network:
    """The network as the checkpoint will hold it, from a run's state."""
    with np.load(run / "channels.npz") as kept:
        channels = Channels(kept["order"], kept["scale"])
    network = Network(Base(read_gguf(base), channels))
    network.load_state_dict(torch.load(run / "state.pt", weights_only=True)["network"])
    network.refresh(quantise=True)
    return network


def greedy(network: Network, stop_ids: frozenset[int]) -> Generate:
    """Temperature 0 in torch, a batch of prompts at a time."""

    @torch.inference_mode()
    def generate(prompts: Sequence[list[int]]) -> list[list[int]]:
        width = max(map(len, prompts))
        padding = torch.tensor([width - len(prompt) for prompt in prompts])
        ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
        caches = network.caches(len(prompts), width + MAX_TOKENS)
        found: list[list[int]] = [[] for _ in prompts]
        for _ in range(MAX_TOKENS):
            picked = network.extend(ids, caches, padding).argmax(dim=-1)
            for row, token in zip(found, picked.tolist(), strict=True):
                if not row or row[-1] not in stop_ids:
                    row.append(token)
            if all(row[-1] in stop_ids for row in found):
                break
            ids = picked[:, None]
        return found

    return generate


def through(backend: Backend, stop_ids: frozenset[int]) -> Generate:
    """Temperature 0 through a backend of Ossia's."""

    async def one(prompt: list[int]) -> list[int]:
        params = SamplingParams(max_tokens=MAX_TOKENS, temperature=0.0, stop_ids=stop_ids)
        return [token.id async for token in backend.generate(prompt, params) if isinstance(token, Token)]

    async def every(prompts: Sequence[list[int]]) -> list[list[int]]:
        return [await one(prompt) for prompt in prompts]

    return lambda prompts: asyncio.run(every(prompts))


def run_cases(cases: list[Case], generate: Generate, tokenizer: Tokenizer) -> list[Verdict]:
    """Answer and judge every case, cases of similar length together."""
    prompts = {case.id: render_conversation(case.conversation, tokenizer, completion=True) for case in cases}
    ordered = sorted(cases, key=lambda case: len(prompts[case.id]))
    verdicts: list[Verdict] = []
    for start in range(0, len(ordered), _BATCH):
        group = ordered[start : start + _BATCH]
        answers = generate([prompts[case.id] for case in group])
        verdicts += [judge(case, ids, tokenizer) for case, ids in zip(group, answers, strict=True)]
    return verdicts


def plain_english() -> str:
    """The committed text for perplexity: written by hand, in several everyday registers."""
    return (files("ossia.posttrain.measure") / "plain_english.txt").read_text(encoding="utf-8")


def share(verdicts: list[Verdict], good: Callable[[Verdict], bool]) -> str:
    count = sum(map(good, verdicts))
    return f"{count}/{len(verdicts)} ({count / max(1, len(verdicts)):.1%})"


def summary(verdicts: list[Verdict]) -> dict[str, str]:
    """The figures of the card, by name."""
    calls = [v for v in verdicts if v.case.tool]
    others = [v for v in verdicts if not v.case.tool]
    offered = [v for v in others if v.case.tool_names]
    lengths = {effort: [v.analysis_tokens for v in verdicts if v.case.effort == effort] for effort in EFFORTS}
    return {
        "well-formed": share(verdicts, lambda v: v.well_formed),
        "right tool and arguments": share(calls, lambda v: v.right),
        "of these, calculator": share([v for v in calls if v.case.tool == "calculator"], lambda v: v.right),
        "no call when none is needed": share(others, lambda v: not v.called),
        "the same, tools offered": share(offered, lambda v: not v.called),
        "answer has the expected word": share([v for v in others if v.case.contains], lambda v: v.right),
        "median analysis tokens": " < ".join(
            f"{effort} {median(found):g}" for effort, found in lengths.items()
        ),
    }


@torch.inference_mode()
def perplexity(network: Network, tokenizer: Tokenizer, text: str, window: int = 512) -> float:
    """Of `text` cut into windows, each without the others before it."""
    ids = tokenizer.encode(text)
    total, count = 0.0, 0
    for start in range(0, len(ids), window):
        piece = torch.tensor(ids[start : start + window])
        logits = network.logits(network.hidden(piece[None])[0]).float()
        total += torch.nn.functional.cross_entropy(logits[:-1], piece[1:], reduction="sum").item()
        count += len(piece) - 1
    return math.exp(total / count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with pocket's tokenizer.json")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--distilled", type=Path)
    parser.add_argument("--held-out", type=int, default=0)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = load_checkpoint_tokenizer(options.tokenizer)
    stops = tokenizer.markers.stop_ids
    figures: dict[str, dict[str, str]] = {}
    if options.run:
        network = load_network(options.base, options.run)
        generate = greedy(network, stops)
        base = Network(Base(read_gguf(options.base)), swiglu_limit=None)
        of_base, of_pocket = (perplexity(net, tokenizer, plain_english()) for net in (base, network))
        ratio = f"{of_pocket:.2f} / {of_base:.2f} = {of_pocket / of_base:.3f}"
        figures["plain English"] = {"perplexity, pocket / base": ratio}
    else:
        generate = through(load(str(options.checkpoint)).backend, stops)
    sets = {"hand-written": handwritten()}
    if options.held_out:
        talks = talks_of(list(load_samples(options.distilled)), tokenizer, frozenset((0, 2)))
        sets["held-out templates"] = held_out(options.held_out, talks)
    lines: list[str] = []
    for name, cases in sets.items():
        verdicts = run_cases(cases, generate, tokenizer)
        figures[name] = summary(verdicts)
        for v in verdicts:
            marks = f"{'ok' if v.well_formed else 'MALFORMED'} {'right' if v.right else 'WRONG'}"
            lines.append(f"{v.case.id} [{v.case.effort}] {marks}: {v.text}")
    print(json.dumps(figures, indent=2, ensure_ascii=False))
    if options.report:
        options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
