"""The second start of a long prompt: seconds from request to first token, cold and after restarts.

Each start is a process of its own. One stores the prompt, one is killed (-9) while it writes, the others find
what these left. `--restarts` starts after each; medians are printed, with the share of the first time. The
folder is a new one and removed at the end.
"""

import argparse
import asyncio
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ossia
from ossia.model.sampling import SamplingParams


async def first_token(model: "ossia.Model", prompt: list[int]) -> float:
    """Seconds from the request to its first token."""
    started = time.perf_counter()
    async for _ in model.backend.generate(prompt, SamplingParams(max_tokens=2, temperature=0.0)):
        return time.perf_counter() - started
    raise AssertionError("no token came")


def run_once(args: argparse.Namespace) -> None:
    """In a process of its own: load, warm up on another prompt, ask once, print one JSON object."""
    rng = random.Random(args.seed)
    prompt = [rng.randrange(100, 40_000) for _ in range(args.tokens)]
    model = ossia.load(args.model, prefix_cache=args.folder)

    async def ask() -> float:
        await first_token(model, prompt[:64][::-1])
        return await first_token(model, prompt)

    seconds = asyncio.run(ask())
    stats = model.backend.stats
    print(json.dumps({"seconds": seconds, "restored": stats.restored_tokens}), flush=True)
    if args.wait:
        sys.stdin.read()


def start(args: argparse.Namespace, folder: Path | None, *, kill: bool = False) -> dict[str, Any]:
    """One start; `kill`: -9 as soon as half of the prompt's blocks lie on the disk."""
    command = [sys.executable, __file__, args.model, "--tokens", str(args.tokens), "--seed", str(args.seed)]
    command += ["--once", *(["--folder", str(folder)] if folder else []), *(["--wait"] if kill else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while kill and child.poll() is None and _blocks(folder) < args.tokens // 128:
            time.sleep(0.001)
        if kill:
            child.kill()
            return {"blocks": _blocks(folder)}
        line = child.stdout.readline()
    return json.loads(line)


def _blocks(folder: Path | None) -> int:
    return sum(1 for _ in folder.glob("*/*.block")) if folder else 0


def measure(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=args.disk) as root:
        off = [start(args, None)["seconds"] for _ in range(args.restarts)]
        first = start(args, Path(root) / "a")
        size = sum(p.stat().st_size for p in Path(root).rglob("*") if p.is_file())
        later = [start(args, Path(root) / "a") for _ in range(args.restarts)]
        killed = start(args, Path(root) / "b", kill=True)
        again = [start(args, Path(root) / "b") for _ in range(args.restarts + 1)]
    cold = statistics.median(off)
    print(f"{args.model}, {args.tokens} tokens, {size / 1e6:.0f} MB stored")
    print(f"nothing stored      {cold:8.3f} s  ({min(off):.3f}–{max(off):.3f})")
    print(f"first, storing      {first['seconds']:8.3f} s  {first['seconds'] / cold:7.1%}")
    _show("after a restart", later, cold)
    print(f"killed with {killed['blocks']} of {args.tokens // 64} blocks written")
    _show("the start after it", again[:1], cold)
    _show("starts after that", again[1:], cold)


def _show(what: str, runs: list[dict[str, Any]], cold: float) -> None:
    seconds = [run["seconds"] for run in runs]
    middle = statistics.median(seconds)
    spread = f"({min(seconds):.3f}–{max(seconds):.3f})"
    print(f"{what:<20}{middle:8.3f} s  {middle / cold:7.1%}  {spread}  {runs[0]['restored']} restored")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="pocket")
    parser.add_argument("--tokens", type=int, default=6000)
    parser.add_argument("--restarts", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disk", type=Path, help="where the folder is made (default: the temporary folder)")
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--wait", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    run_once(args) if args.once else measure(args)


if __name__ == "__main__":
    main()
