"""What the base said, as `distill` stores it: token ids with the base's likeliest alternatives.

A folder of numbered `.npz` shards, each written whole or not at all. Needs no torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

TOP = 16  # alternatives kept per token
Kind = Literal["chat", "text"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the base said: `ids` (n,), and for each the base's likeliest tokens: `top_ids`, `top_logprobs`
    (n, TOP).
    """

    kind: Kind
    prompt: str
    prompt_ids: NDArray[np.int32]
    ids: NDArray[np.int32]
    top_ids: NDArray[np.int32]
    top_logprobs: NDArray[np.float16]


def save_shard(path: Path, samples: list[Sample]) -> None:
    """Write one shard, whole or not at all."""
    arrays: dict[str, Any] = {
        "kind": np.array([sample.kind for sample in samples]),
        "prompt": np.array([sample.prompt for sample in samples]),
        "prompt_lengths": np.array([len(sample.prompt_ids) for sample in samples]),
        "lengths": np.array([len(sample.ids) for sample in samples]),
        "prompt_ids": np.concatenate([sample.prompt_ids for sample in samples]),
        "ids": np.concatenate([sample.ids for sample in samples]),
        "top_ids": np.concatenate([sample.top_ids for sample in samples]),
        "top_logprobs": np.concatenate([sample.top_logprobs for sample in samples]),
    }
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def load_samples(folder: Path) -> Iterator[Sample]:
    """Every sample of the finished shards in `folder`, in order."""
    for path in sorted(folder.glob("shard-*.npz")):
        if path.name.endswith(".partial.npz"):
            continue
        with np.load(path) as shard:
            cuts = np.cumsum(shard["lengths"])[:-1]
            prompts = np.split(shard["prompt_ids"], np.cumsum(shard["prompt_lengths"])[:-1])
            columns = (np.split(shard[name], cuts) for name in ("ids", "top_ids", "top_logprobs"))
            for kind, prompt, prompt_ids, ids, top_ids, top_logprobs in zip(
                shard["kind"], shard["prompt"], prompts, *columns, strict=True
            ):
                yield Sample(str(kind), str(prompt), prompt_ids, ids, top_ids, top_logprobs)  # type: ignore[arg-type]
