"""Lets the base speak for itself: its answers to everyday questions and its own plain text, with soft
targets.

Every sampled token is stored with the base's 16 likeliest tokens and their log-probabilities, so that
training can hold the adapter to the base's distribution (KL) without running the base again. The file is a
folder of numbered `.npz` shards; a run that was stopped goes on after the last one.

    python -m ossia.posttrain.distill --base BASE.gguf --out FOLDER
"""

# torch is optional and its own types are partial, so strictness would only count them.
# pyright: basic, reportMissingImports=false

import argparse
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from random import Random

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from ossia.hub.pocket.gguf import read_gguf
from ossia.hub.pocket.layout import Base
from ossia.hub.pocket.vocabulary import tokenizer_json
from ossia.posttrain.data import topics
from ossia.posttrain.network import Network
from ossia.posttrain.samples import TOP, Kind, Sample, save_shard

IM_START, IM_END, ENDOFTEXT = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
_SYSTEM = "You are a helpful AI assistant."
_SEED = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to sample: the prompt's ids, how many tokens at most, at which temperature."""

    kind: Kind
    prompt: str
    ids: tuple[int, ...]
    limit: int
    temperature: float


def jobs(tokenizer: Tokenizer, chats: int, texts: int) -> list[Job]:
    """What is sampled, in a fixed order."""
    rng = Random(_SEED)
    questions = topics.distinct(topics.question, chats, rng)
    found = [Job("chat", text, tuple(_chat_ids(tokenizer, text)), 144, 0.35) for text in questions]
    for _ in range(texts):
        text = topics.opening(rng)
        ids = tokenizer.encode(ENDOFTEXT + text, add_special_tokens=False).ids
        found.append(Job("text", text, tuple(ids), 224, 1.0))
    rng.shuffle(found)
    return found


def _chat_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    frame = f"{IM_START}system\n{_SYSTEM}{IM_END}\n{IM_START}user\n{text}{IM_END}\n{IM_START}assistant\n"
    return tokenizer.encode(frame, add_special_tokens=False).ids


def batches(found: list[Job], size: int) -> list[list[Job]]:
    """At most `size` jobs of one kind and similar prompt length together."""
    cut: list[list[Job]] = []
    # In windows, so that an interrupted run has seen every kind and length.
    for start in range(0, len(found), size * 8):
        window = sorted(found[start : start + size * 8], key=lambda job: (job.kind, len(job.ids)))
        for _, group in groupby(window, key=lambda job: job.kind):
            members = list(group)
            cut.extend(members[at : at + size] for at in range(0, len(members), size))
    return cut


class Speaker:
    """Samples from the base in batches."""

    def __init__(self, network: Network, stop_ids: tuple[int, ...]) -> None:
        self.network = network
        self.stop_ids = torch.tensor(stop_ids)

    @torch.inference_mode()
    def sample(self, batch: list[Job], generator: torch.Generator) -> list[Sample]:
        width = max(len(job.ids) for job in batch)
        padding = torch.tensor([width - len(job.ids) for job in batch])
        ids = torch.tensor([[0] * (width - len(job.ids)) + list(job.ids) for job in batch])
        limit, temperature = batch[0].limit, batch[0].temperature
        caches = self.network.caches(len(batch), ids.shape[1] + limit)
        rows: list[tuple[Tensor, Tensor, Tensor]] = []
        done = torch.zeros(len(batch), dtype=torch.bool)
        for _ in range(limit):
            logits = self.network.extend(ids, caches, padding).float()
            top = logits.topk(TOP, dim=-1)
            logprobs = top.values - logits.logsumexp(dim=-1, keepdim=True)
            choice = torch.multinomial(torch.softmax(logprobs / temperature, dim=-1), 1, generator=generator)
            picked = top.indices.gather(1, choice)[:, 0]
            rows.append((torch.where(done, -1, picked), top.indices, logprobs))
            done |= torch.isin(picked, self.stop_ids)
            if bool(done.all()):
                break
            ids = picked[:, None]
        return [_collect(job, row, rows) for row, job in enumerate(batch)]


def _collect(job: Job, row: int, rows: list[tuple[Tensor, Tensor, Tensor]]) -> Sample:
    kept = [(int(ids[row]), top[row], values[row]) for ids, top, values in rows if int(ids[row]) >= 0]
    return Sample(
        job.kind,
        job.prompt,
        np.array(job.ids, np.int32),
        np.array([token for token, _, _ in kept], np.int32),
        np.stack([top.numpy() for _, top, _ in kept]).astype(np.int32),
        np.stack([values.numpy() for _, _, values in kept]).astype(np.float16),
    )


def passages(tokenizer: Tokenizer, text: str, length: int = 240) -> list[list[int]]:
    """`text` as token ids, its lines joined to paragraphs, in pieces of `length`."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    ids = tokenizer.encode("\n\n".join(filter(None, paragraphs)), add_special_tokens=False).ids
    return [ids[start : start + length] for start in range(0, len(ids) - length, length)]


@torch.inference_mode()
def score(network: Network, ids: list[int]) -> Sample:
    """What the base would have said at every token of a text somebody else wrote."""
    logits = network.logits(network.hidden(torch.tensor(ids[:-1])[None])[0]).float()
    top = logits.topk(TOP, dim=-1)
    logprobs = top.values - logits.logsumexp(dim=-1, keepdim=True)
    return Sample(
        "text",
        "",
        np.array(ids[:1], np.int32),
        np.array(ids[1:], np.int32),
        top.indices.numpy().astype(np.int32),
        logprobs.numpy().astype(np.float16),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--chats", type=int, default=2400)
    parser.add_argument("--texts", type=int, default=800)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--read", type=Path, help="a plain text file to score, instead of sampling")
    parser.add_argument("--passages", type=int, default=160, help="how many pieces of it, evenly spread")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    source = read_gguf(options.base)
    tokenizer = Tokenizer.from_str(tokenizer_json(source))
    stops = tuple(tokenizer.encode(name).ids[0] for name in (IM_END, ENDOFTEXT))
    speaker = Speaker(Network(Base(source), swiglu_limit=None), stops)
    if options.read:
        pieces = passages(tokenizer, options.read.read_text(encoding="utf-8", errors="replace"))
        chosen = pieces[:: max(1, len(pieces) // options.passages)]
        name = f"shard-read-{options.read.stem}.npz"
        save_shard(options.out / name, [score(speaker.network, ids) for ids in chosen])
        print(f"{len(chosen)} passages of {options.read.name}")
        return
    work = batches(jobs(tokenizer, options.chats, options.texts), options.batch)
    for index, batch in enumerate(work):
        path = options.out / f"shard-{index:04d}.npz"
        if path.exists():
            continue
        samples = speaker.sample(batch, torch.Generator().manual_seed(_SEED * 10_000 + index))
        save_shard(path, samples)
        print(f"{index + 1}/{len(work)} {sum(len(sample.ids) for sample in samples)} tokens", flush=True)


if __name__ == "__main__":
    main()
