"""Trains pocket's adapter: LoRA, biases, norms and marker rows, with MXFP4 in the loop from the middle on.

    python -m ossia.posttrain.train --base BASE.gguf --distilled FOLDER --run FOLDER --minutes 90

The state is written every few minutes and when interrupted (SIGINT, SIGTERM); the same command goes on from
there. Progress is measured in minutes of training, so that a shared machine changes the number of steps and
not the shape of the schedule.
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

import argparse
import math
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ossia.hub.pocket.gguf import read_gguf
from ossia.hub.pocket.layout import Base, Channels
from ossia.posttrain.calibrate import find_channels
from ossia.posttrain.data.scenarios import Talk, invent_example
from ossia.posttrain.examples import Encoded, encode_example, encode_text, packed, talks_of
from ossia.posttrain.network import Network
from ossia.posttrain.samples import Sample, load_samples
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer

_HEAD_ROWS = 384  # positions whose logits are in memory at once


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not change during a run."""

    minutes: float
    rate: float = 5e-4
    batch: int = 10
    text_share: float = 0.3
    max_tokens: int = 3072
    warmup: float = 0.03
    cooldown: float = 0.2
    quantise_from: float = 0.45  # share of the run after which weights are MXFP4

    def rate_at(self, progress: float) -> float:
        """Warm up, stay, and go down in a straight line over the last fifth."""
        if progress < self.warmup:
            return self.rate * (0.02 + progress / self.warmup)
        return self.rate * min(1.0, max(0.02, (1 - progress) / self.cooldown))


class Data:
    """Batches by number: the same number is the same batch, as long as the stored samples are the same."""

    def __init__(self, samples: list[Sample], tokenizer: Tokenizer, plan: Plan) -> None:
        self._samples, self._tokenizer, self._plan = samples, tokenizer, plan
        stops = frozenset((0, 2))
        self._talks: list[Talk] = talks_of(samples, tokenizer, stops)
        talked = {talk.index for talk in self._talks}
        # Answers that cannot be finals still say how the base speaks.
        others = [s for index, s in enumerate(samples) if index not in talked and len(s.ids) > 16]
        self._texts = [sample for sample in others if sample.prompt]
        self._passages = [sample for sample in others if not sample.prompt]  # of texts others wrote
        assert self._talks, "no usable answers: run distill first"
        assert self._texts, "no plain text: run distill first"

    def batch(self, number: int) -> list[Encoded]:
        rng = Random(f"batch/{number}")
        texts = round(self._plan.batch * self._plan.text_share)
        first = number * (self._plan.batch - texts)
        read = math.ceil(texts / 2) if self._passages else 0
        chosen = rng.sample(self._passages, read) + rng.sample(self._texts, texts - read)
        found = [encode_text(sample, rng) for sample in chosen]
        numbers = range(first, first + self._plan.batch - texts)
        found += [self._conversation(number) for number in numbers]
        return [item for item in found if len(item.ids) <= 1400]

    def _conversation(self, number: int) -> Encoded:
        return encode_example(invent_example(number, self._talks), self._samples, self._tokenizer)


def pad(group: list[Encoded]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """ids (B, T), and of the positions that count: weights (n,), top_ids and top_probs (n, TOP); ids right-
    padded.
    """
    width = max(len(item.ids) for item in group)
    ids = np.zeros((len(group), width), np.int64)
    weights = np.zeros((len(group), width), np.float32)
    for row, item in enumerate(group):
        ids[row, : len(item.ids)] = item.ids
        weights[row, : len(item.ids)] = item.weights
    top_ids = np.concatenate([item.top_ids[item.weights > 0] for item in group]).astype(np.int64)
    top_probs = np.concatenate([item.top_probs[item.weights > 0] for item in group])
    return tuple(map(torch.from_numpy, (ids, weights, top_ids, top_probs)))  # type: ignore[return-value]


def accumulate(network: Network, group: list[Encoded], total_weight: float) -> float:
    """Add the gradient of the group's cross-entropy, as a share of `total_weight`; return its sum."""
    ids, weights, top_ids, top_probs = pad(group)
    hidden = network.hidden(ids)
    chosen = hidden[weights > 0]
    flat_weights = weights[weights > 0]
    leaf = chosen.detach().requires_grad_()
    loss_sum = 0.0
    for start in range(0, len(leaf), _HEAD_ROWS):
        rows = slice(start, start + _HEAD_ROWS)
        logits = network.logits(leaf[rows]).float()
        wanted = (logits.gather(1, top_ids[rows]) * top_probs[rows]).sum(dim=1)
        loss = ((logits.logsumexp(dim=1) - wanted) * flat_weights[rows]).sum()
        (loss / total_weight).backward()
        loss_sum += loss.item()
    chosen.backward(leaf.grad)
    return loss_sum


def optimiser_of(network: Network) -> torch.optim.Optimizer:
    groups: dict[str, list[Tensor]] = {"lora": [], "marker": [], "other": []}
    for name, parameter in network.named_parameters():
        kind = "lora" if "lora_" in name else "marker" if "marker_" in name else "other"
        groups[kind].append(parameter)
    factors = {"lora": 1.0, "marker": 3.0, "other": 0.5}
    return torch.optim.AdamW(
        [{"params": found, "factor": factors[kind], "lr": 0.0} for kind, found in groups.items()],
        betas=(0.9, 0.98),
        weight_decay=0.0,
    )


class Run:
    """One training run in a folder: network, optimiser, and how far it is."""

    def __init__(self, network: Network, plan: Plan, folder: Path) -> None:
        self.network, self.plan, self.folder = network, plan, folder
        self.optimiser = optimiser_of(network)
        self.step, self.seconds = 0, 0.0
        self.stopping = False
        self._state = folder / "state.pt"
        if self._state.exists():
            self._restore(torch.load(self._state, weights_only=True))
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._stop)

    @property
    def progress(self) -> float:
        return self.seconds / 60 / self.plan.minutes

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]

    def save(self) -> None:
        """Write the state, whole or not at all."""
        partial = self._state.with_suffix(".partial")
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        partial.replace(self._state)

    def one_step(self, batch: list[Encoded]) -> tuple[float, int]:
        """One optimiser step; returns mean loss and number of ids read."""
        quantise = self.progress >= self.plan.quantise_from
        self.network.refresh(quantise)
        total = float(sum(item.weights.sum() for item in batch))
        loss = sum(accumulate(self.network, group, total) for group in packed(batch, self.plan.max_tokens))
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate_at(self.progress) * group["factor"]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        return loss / total, sum(len(item.ids) for item in batch)

    def loop(self, data: Data, save_every_s: float = 150.0) -> None:
        saved = time.monotonic()
        tokens = 0
        while self.progress < 1 and not self.stopping:
            started = time.monotonic()
            loss, count = self.one_step(data.batch(self.step))
            tokens += count
            self.seconds += time.monotonic() - started
            rate = count / (time.monotonic() - started)
            print(
                f"step {self.step} {self.progress:.1%} loss {loss:.4f} {rate:.0f} tok/s {tokens} tokens",
                flush=True,
            )
            if time.monotonic() - saved > save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()


def load_channels(path: Path, base: Base, samples: list[Sample]) -> Channels:
    """The channels of this run, found once and kept beside its state."""
    if not path.exists():
        texts = [np.concatenate((s.prompt_ids, s.ids)) for s in samples[:200]]
        found = find_channels(base, texts)
        np.savez(path, order=found.order, scale=found.scale)
    with np.load(path) as kept:
        return Channels(kept["order"], kept["scale"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--distilled", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with pocket's tokenizer.json")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    options.run.mkdir(parents=True, exist_ok=True)
    source = read_gguf(options.base)
    samples = list(load_samples(options.distilled))
    channels = load_channels(options.run / "channels.npz", Base(source), samples)
    plan = Plan(options.minutes)
    data = Data(samples, load_checkpoint_tokenizer(options.tokenizer), plan)
    Run(Network(Base(source, channels)), plan, options.run).loop(data)


if __name__ == "__main__":
    main()
