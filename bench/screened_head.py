"""The screened LM head beside the whole one: time for some rows of activations, and how often it errs.

`python bench/screened_head.py [--shape 201088 2880] [--threads 1] [--rows 1 2 4 8 16] [--states 1000]` takes
random normal weights; `--model NAME` a model's own head, and its own last hidden rows over a text for states.
Times are medians, whole and screened in turn; with one thread processor time, else wall time.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ossia
from ossia.kernels import cpu, ops
from ossia.kernels.asked import Asked, Screen
from ossia.kernels.head import screen
from ossia.kernels.tensors import Activation, Matrix, pack_rows
from ossia.model.batch import single_sequence

Floats = NDArray[np.float32]
RNG = np.random.default_rng(0)


def random_head(vocab: int, width: int) -> Matrix:
    out = Matrix.empty(1, vocab, width, "q8")
    for first in range(0, vocab, 4096):
        rows = RNG.standard_normal((min(4096, vocab - first), width), np.float32)
        pack_rows(0.02 * rows, out, 0, first)
    return out


def rows_of(x: Floats) -> Activation:
    out = Activation.empty(*x.shape, "q8")
    p = ops.Program()
    ops.quantize(p, np.ascontiguousarray(x), out)
    p.run()
    return out


class Choice:
    """A head's choices for rows of states."""

    def __init__(self, w: Matrix, found: Screen | None, rows: int) -> None:
        vocab, width = w.shape[1:]
        self.x, self.asked = Activation.empty(rows, width, "q8"), Asked.empty(rows, 1, vocab, 0)
        self.states = np.zeros((rows, width), np.float32)
        self.asked.whole[:] = 0
        self.chosen, self.rescored = np.zeros(rows, np.int32), np.zeros(rows, np.int32)
        logits = np.zeros((rows, vocab), np.float32)
        quantise, self.program = ops.Program(), ops.Program()
        ops.quantize(quantise, self.states, self.x)
        ops.lm_head(self.program, self.x, w, self.asked, self.chosen, self.rescored, logits, found)
        self._quantise = quantise

    def of(self, states: Floats, temperature: float, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        self.states[:] = states
        self.asked.temperatures[:], self.asked.keys[:] = temperature, keys
        self._quantise.run()
        self.program.run()
        return self.chosen.copy()


def times(plain: Matrix, planes: Matrix, found: Screen, rows: int, repeats: int) -> None:
    clock = time.thread_time if cpu.current().threads == 1 else time.perf_counter
    kinds = {
        "whole": Choice(plain, None, rows),
        "whole of planes": Choice(planes, None, rows),
        "screened": Choice(planes, replace(found, most_rows=rows), rows),
    }
    linear, out = ops.Program(), np.zeros((rows, plain.shape[1]), np.float32)
    ops.linear(linear, kinds["whole"].x, plain, None, out)
    for temperature in (0.0, 1.0):
        states = RNG.standard_normal((rows, plain.shape[2]), np.float32)
        keys = RNG.integers(0, 2**63, rows).astype(np.uint64)
        runs: dict[str, Callable[[], Any]] = {"linear alone": linear.run}
        for name, kind in kinds.items():
            kind.of(states, temperature, keys)
            runs[name] = kind.program.run
        took: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(repeats):
            for name, run in runs.items():
                started = clock()
                run()
                took[name].append(clock() - started)
        said = ", ".join(f"{name} {1e3 * float(np.median(t)):.2f}" for name, t in took.items())
        kept = float(kinds["screened"].rescored.mean())
        print(
            f"  {rows:2} rows, temperature {temperature:g}: {said} ms; {kept:.0f} rescored a row", flush=True
        )


def rates(plain: Matrix, planes: Matrix, found: Screen, states: Floats) -> None:
    """Wrong tokens and rows rescored, by multiples of sigma."""
    rows = 8
    whole = Choice(plain, None, rows)
    states = states[: len(states) // rows * rows].reshape(-1, rows, states.shape[1])
    for temperature in (0.0, 1.0):
        right = [whole.of(x, temperature, key(i, rows)) for i, x in enumerate(states)]
        for sigmas in (0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 6.0):
            few = Choice(planes, replace(found, most_rows=rows, sigmas=sigmas), rows)
            wrong, kept, screened = 0, 0, 0
            for i, x in enumerate(states):
                wrong += int((few.of(x, temperature, key(i, rows)) != right[i]).sum())
                kept += int(few.rescored[few.rescored > 0].sum())
                screened += int((few.rescored > 0).sum())
            said = f"{wrong} of {len(states) * rows} wrong, {kept / max(1, screened):.1f} rescored a row"
            print(f"  temperature {temperature:g}, {sigmas:g} sigma: {said}, {screened} screened", flush=True)


def key(i: int, rows: int) -> NDArray[np.uint64]:
    return np.arange(i * rows, (i + 1) * rows, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def errors(plain: Matrix, found: Screen, states: Floats) -> None:
    """How many of the approximate logits are off by more than k sigma, beside the normal distribution's."""
    assert plain.scales is not None
    beyond, total, squares = np.zeros(7), 0, 0.0
    a = rows_of(states).to_float().astype(np.float64)
    for first in range(0, plain.shape[1], 4096):
        codes = plain.data[0, first : first + 4096]
        low = ((codes.view(np.uint8) ^ 128) & 15) - 7.5
        scale = np.repeat(plain.scales[0, first : first + 4096].astype(np.float64), 32, axis=1)
        error = a @ (scale * (codes - found.gain * (codes - low))).T
        sigma = np.sqrt(23 * (a * a) @ (scale * scale).T)
        z = np.abs(error / np.where(sigma > 0, sigma, 1))
        total, squares = total + z.size, squares + float((z * z).sum())
        beyond += [(z > k).sum() for k in range(7)]
    print(f"  {total:,} errors, standard deviation {math.sqrt(squares / total):.3f} sigma; beyond k sigma:")
    for k in range(1, 7):
        print(f"    {k}: {beyond[k] / total:.3e}, normal {math.erfc(k / math.sqrt(2)):.3e}")


def of_model(name: str, states: int) -> tuple[Matrix, Floats]:
    """A model's own head and its last hidden rows over documentation of ours."""
    with ossia.load(name, screened_head=False, max_context=4096) as model:
        transformer: Any = model.backend._engine._model  # pyright: ignore
        text = (Path(__file__).parent.parent / "docs" / "python.md").read_text()
        ids = model.tok.encode(text)
        rows: list[Floats] = []
        for first in range(0, states, 256):
            part = ids[first : first + 256]
            if len(part) > 1:
                transformer.forward(single_sequence(part, all_logits=True))
                rows.append(transformer._scratch.hidden.head(len(part)).to_float())  # pyright: ignore
        return transformer.head.weight, np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", nargs=2, type=int, default=[201_088, 2880])
    parser.add_argument("--model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa")
    parser.add_argument("--rows", nargs="*", type=int, default=[1, 2, 4, 8, 16])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--states", type=int, default=256)
    args = parser.parse_args()
    cpu.configure(args.isa, args.threads)
    if args.model:
        plain, states = of_model(args.model, args.states)
        cpu.configure(args.isa, args.threads)
    else:
        plain, states = (
            random_head(*args.shape),
            RNG.standard_normal((args.states, args.shape[1]), np.float32),
        )
    assert plain.scales is not None
    planes, found = screen(Matrix("q8", plain.data.copy(), plain.scales.copy()))
    print(f"{plain.shape[1:]}, {cpu.current().isa}, {args.threads} threads")
    if found is None:
        print("  not screened: too many rows are not random enough")
        return
    print(f"  gain {found.gain:.5f}, {found.doubtful.size} doubtful rows")
    for rows in args.rows:
        times(plain, planes, found, rows, args.repeats)
    if args.states:
        rates(plain, planes, found, states)
        errors(plain, found, states[:32])


if __name__ == "__main__":
    main()
