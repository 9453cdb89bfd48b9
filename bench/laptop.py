"""A model on a laptop: loaded and run in a control group whose memory is limited, page cache counted.

    python bench/laptop.py whole 20b                    # cold start, 8k context, 100 tokens in 13.0 GiB
    python bench/laptop.py stream 20b --max-memory 8GiB # 100 tokens, experts streaming, in a group of 8 GiB
    python bench/laptop.py plan 120b                    # how --max-memory divides, for a whole shape

Needs root for the group (version 1 or 2 of control groups) and for dropping the page cache; without root
it says what it left out. Prints one JSON object. The disk's rate is probed in the same run, before and after.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import ossia
from ossia.backends.native import NativeBackend
from ossia.bench.disk import sequential_read
from ossia.bench.run import synthetic_folder
from ossia.bench.shapes import SHAPES, shape_named
from ossia.errors import OssiaError
from ossia.kernels.experts import ExpertCounts
from ossia.model.memory.fit import as_option, divide, needed, smallest
from ossia.model.plan import memory_plan
from ossia.model.sampling import SamplingParams
from ossia.settings import load_settings, parse_size

GROUPS = Path("/sys/fs/cgroup")
NAME = "ossia-laptop"
_ROUND = 25  # tokens between two probes of the disk


def main() -> int:
    wanted = _arguments()
    if wanted.what == "plan":
        return _plan(wanted)
    if wanted.inside:
        return _run(wanted)
    folder = _folder(wanted.model)
    group = _make_group(_size(wanted.limit))
    if group is None:
        print("no control group can be made (root is needed): running without a limit", file=sys.stderr)
    command = [sys.executable, *sys.argv, "--inside"]
    try:
        cold = _drop_cache(folder)
        done = subprocess.run(command, stdout=subprocess.PIPE, preexec_fn=lambda: _enter(group), check=False)
        if done.returncode:
            print(f"ended with {done.returncode}: {_why(group)}", file=sys.stderr)
            return done.returncode
        report = {**json.loads(done.stdout), "limit_bytes": group and _size(wanted.limit), "cold": cold}
        print(json.dumps({**report, **_group_report(group)}, indent=1))
        return 0
    finally:
        if group is not None:
            group.rmdir()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["whole", "stream", "plan"])
    parser.add_argument("model", help="a synthetic checkpoint's name (20b), or a model's folder")
    parser.add_argument("--limit", default=None, help="of the group; whole: 13.0GiB, stream: --max-memory")
    parser.add_argument("--max-memory", default="8GiB")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--prompt", type=int, help="tokens; stream: 32, whole: as many as fit")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    wanted.limit = wanted.limit or ("13.0GiB" if wanted.what == "whole" else wanted.max_memory)
    return wanted


def _run(wanted: argparse.Namespace) -> int:
    """Inside the group: probe, load, answer in rounds with a probe after each."""
    folder = _folder(wanted.model)
    file = max(folder.glob("*.safetensors"), key=lambda path: path.stat().st_size)
    probes = [_probe(file)]
    started = time.perf_counter()
    limit = wanted.max_memory if wanted.what == "stream" else None
    with ossia.load(str(folder), max_context=wanted.context, max_memory=limit, speculation=False) as model:
        load_s = time.perf_counter() - started
        probes.append(_probe(file))
        assert isinstance(model.backend, NativeBackend)
        run = _Run(model.backend, file, probes)
        report: dict[str, Any] = {
            "model": str(folder),
            "context": run.backend.context_length,
            "load_s": load_s,
        }
        if wanted.what == "whole":
            read = sum(path.stat().st_size for path in folder.glob("*.safetensors")) - _embedding_bytes(
                folder
            )
            rate = read / load_s
            report |= {"load_bytes": read, "load_bytes_s": rate, "load_share": rate / median(probes)}
        prompt = wanted.prompt or (32 if limit else run.backend.context_length - wanted.tokens - 1)
        report |= run.answer(prompt, wanted.tokens)
    report["disk_probes_bytes_s"] = probes
    report["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(report))
    return 0


@dataclass(slots=True)
class _Run:
    """A loaded model, and the disk's rate: the last of `probes` is as of now."""

    backend: NativeBackend
    file: Path
    probes: list[float]

    def answer(self, prompt: int, tokens: int) -> dict[str, Any]:
        """`tokens` of answer to a random prompt, in rounds that go on where the last one ended."""
        ids = np.random.default_rng(prompt).integers(0, 201088, prompt).tolist()
        rounds: list[_Round] = []
        while (done := sum(r.tokens for r in rounds)) < tokens:
            rounds.append(self._round(ids, min(_ROUND, tokens - done)))
        decode_s = sum(r.decode_s for r in rounds)
        report: dict[str, Any] = {
            "prompt_tokens": prompt,
            "first_token_s": rounds[0].first_s,
            "tokens": tokens,
            "decode_tok_s": sum(r.tokens - 1 for r in rounds) / decode_s,
        }
        if self.backend.stats.experts is None:
            return report
        asked, read = sum(r.asked for r in rounds), sum(r.read for r in rounds)
        return report | {
            "hit_rate": 1 - read / asked,
            "decode_read_bytes": sum(r.read_bytes for r in rounds),
            "decode_s": decode_s,
            "decode_disk_s": sum(r.disk_s for r in rounds),
            "decode_share": sum(r.disk_s for r in rounds) / decode_s,
            "rounds_share": [round(r.disk_s / r.decode_s, 3) for r in rounds],
            "prompt_share": rounds[0].prompt_disk_s / rounds[0].first_s,
        }

    def _round(self, ids: list[int], count: int) -> "_Round":
        before, asked = self.backend.stats.experts or ExpertCounts(0, 0, 0), time.perf_counter()
        times, first, answer = asyncio.run(_follow(self.backend, ids, count))
        after = self.backend.stats.experts or ExpertCounts(0, 0, 0)
        ids += answer
        self.probes.append(_probe(self.file))
        rate = sum(self.probes[-2:]) / 2
        read_bytes = after.read_bytes - first.read_bytes
        return _Round(
            tokens=count,
            first_s=times[0] - asked,
            decode_s=times[-1] - times[0],
            asked=after.asked - first.asked,
            read=after.read - first.read,
            read_bytes=read_bytes,
            disk_s=read_bytes / rate,
            prompt_disk_s=(first.read_bytes - before.read_bytes) / rate,
        )


@dataclass(frozen=True, slots=True)
class _Round:
    """Some tokens of an answer: seconds, experts and bytes after its first token.

    `disk_s`: what the disk alone would have taken for these bytes, at the mean of the probes beside them.
    """

    tokens: int
    first_s: float
    decode_s: float
    asked: int
    read: int
    read_bytes: int
    disk_s: float
    prompt_disk_s: float


async def _follow(
    backend: NativeBackend, prompt: list[int], count: int
) -> tuple[list[float], ExpertCounts, list[int]]:
    """When each token came, the experts' counters at the first, and the tokens."""
    params = SamplingParams(max_tokens=count, temperature=0.0)
    times: list[float] = []
    answer: list[int] = []
    first = ExpertCounts(0, 0, 0)
    async with aclosing(backend.generate(prompt, params)) as tokens:
        async for token in tokens:
            times.append(time.perf_counter())
            answer.append(token.id)
            if len(times) == 1:
                first = backend.stats.experts or first
    return times, first, answer


def _probe(file: Path) -> float:
    rate = sequential_read(file)
    assert rate is not None, "this file system has no direct reading, so the disk cannot be probed"
    return rate


def _folder(name: str) -> Path:
    return synthetic_folder(name, load_settings()) or Path(name)


def _embedding_bytes(folder: Path) -> int:
    """Bytes of the embedding, which loading leaves on the disk."""
    raw = json.loads((folder / "config.json").read_text())
    return 2 * raw["vocab_size"] * raw["hidden_size"]


def _size(text: str) -> int:
    size = parse_size(text)
    if size is None:
        sys.exit(f"{text} is not a size such as 13.0GiB")
    return size


# ---- the group ----


def _make_group(limit: int) -> Path | None:
    """A memory control group of `limit` bytes, page cache counted, no swap; None where not allowed."""
    first = (GROUPS / "memory").is_dir()
    group = GROUPS / "memory" / NAME if first else GROUPS / NAME
    try:
        group.mkdir(exist_ok=True)
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(limit))
    except OSError:
        return None
    with suppress(OSError):  # there is no swap to be kept from
        (group / ("memory.swappiness" if first else "memory.swap.max")).write_text("0")
    return group


def _enter(group: Path | None) -> None:
    if group is not None:
        (group / "cgroup.procs").write_text(str(os.getpid()))


def _group_report(group: Path | None) -> dict[str, Any]:
    if group is None:
        return {}
    names = ("memory.max_usage_in_bytes", "memory.peak")
    peak = next((int((group / n).read_text()) for n in names if (group / n).exists()), None)
    return {"group_peak_bytes": peak, "killed_for_memory": _kills(group)}


def _kills(group: Path) -> int:
    for name in ("memory.oom_control", "memory.events"):
        if (group / name).exists():
            lines = (group / name).read_text().splitlines()
            return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
    return 0


def _why(group: Path | None) -> str:
    return "killed for memory" if group is not None and _kills(group) else "see above"


def _drop_cache(folder: Path) -> bool:
    """Have the model's files leave the page cache, so that the start is cold and what comes back counts."""
    for path in folder.glob("*.safetensors"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


# ---- the plan ----


def _plan(wanted: argparse.Namespace) -> int:
    """How a limit divides, for a shape with all its layers."""
    if wanted.model not in SHAPES:
        sys.exit(f"{wanted.model} is no shape; there are {', '.join(SHAPES)}")
    config = shape_named(wanted.model).config
    plan = memory_plan(config, "q8", wanted.context)
    try:
        division = divide(wanted.model, _size(wanted.max_memory), plan, config)
    except OssiaError as error:
        sys.exit(str(error))
    parts = {name: getattr(plan, name) for name in plan.__slots__}
    print(json.dumps({
        "shape": wanted.model, "layers": config.num_hidden_layers, "context": wanted.context, **parts,
        "needed_for_all_in_memory": needed(plan), "smallest_limit": as_option(smallest(plan, config)),
        "limit_bytes": division.limit, "everything_but_experts": division.rest,
        "experts_in_memory": division.slots, "experts_in_all": division.experts,
        "bytes_of_an_expert": division.slot_bytes,
        "bytes_of_experts_in_memory": division.slots * division.slot_bytes,
        "share_in_memory": division.slots / division.experts,
    }, indent=1))  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
