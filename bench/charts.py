"""Draws a results file of bench/compare.py, and writes its tables into docs/performance.md.

`python bench/charts.py RESULTS.json [--docs DIR]`. Makes docs/images/peers.svg and agent-turns.svg, and puts
the tables between the two marks in performance.md; nothing in them is typed by hand. Parts that the file does
not have are left out.
"""

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

from peers.results import IK, LLAMA, LLAMA_AVX2, OSSIA, OSSIA_AVX2, OSSIA_BF16, Line, Results, shown, values

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- measured beside the peers: begin -->", "<!-- end -->"
COLOURS = {"ossia": "#0f766e", IK: "#b45309", LLAMA: "#6b7280"}
WIDTH, LABEL, BAR, GAP = 860, 230, 15, 10
ACCURACY = """\
The same text through each arithmetic and through float32, from the same bf16 and MXFP4 weights. "Other
experts" counts pairs of a token and a layer with another set of experts than in float32: with random weights
many are nearly tied, and a changed one changes all that follows. llama.cpp computed its own logits."""
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2937}.h{font-weight:600;font-size:15px}"
    ".n{font-size:12px}.w{stroke:#111827;stroke-width:1.2}"
)


@dataclass(frozen=True)
class Bar:
    """One engine's median, with the least and the greatest sample."""

    engine: str
    value: float
    low: float
    high: float
    text: str


Group = tuple[str, list[Bar]]


def bar(results: Results, engine: str, figure: str, unit: str) -> Bar | None:
    found = values(results.samples(engine, figure))
    if not found:
        return None
    name = engine if engine in COLOURS else engine.rsplit("-", 1)[0]
    return Bar(name, median(found), min(found), max(found), shown(median(found), unit))


def groups(results: Results, rows: Iterable[tuple[str, str, tuple[str, ...]]], unit: str) -> list[Group]:
    made = [(name, [bar(results, e, figure, unit) for e in engines]) for name, figure, engines in rows]
    return [(name, [b for b in bars if b is not None]) for name, bars in made if any(bars)]


ALL = (OSSIA, IK, LLAMA)
DECODE = (
    ("one stream", "decode", ALL),
    ("4 streams together", "streams_4", ALL),
    ("8 streams together", "streams_8", ALL),
    ("one stream, a core taken", "decode_busy", ALL),
    ("4 streams, a core taken", "streams_4_busy", ALL),
)
PROMPTS = (
    ("512 tokens", "prefill_512", ALL),
    ("2,048 tokens", "prefill_2048", ALL),
    ("2,048 tokens, bf16", "prefill_2048", (OSSIA_BF16,)),
    ("2,048 tokens, without AVX-512", "prefill_2048", (OSSIA_AVX2, LLAMA_AVX2)),
)


def peers_picture(results: Results) -> str | None:
    panels = [
        ("Decoding, tokens per second", groups(results, DECODE, "tok/s")),
        ("Prompts, tokens per second", groups(results, PROMPTS, "tok/s")),
        ("Peak memory", groups(results, [("", "peak_rss_bytes", ALL)], "GiB")),
        ("Ready from a warm cache", groups(results, [("", "ready_s", ALL)], "s")),
    ]
    return picture([panel for panel in panels if panel[1]], subtitle(results))


def agent_picture(found: dict[str, Any]) -> str | None:
    engines = found["engines"]
    turns = range(len(next(iter(engines.values()))))

    def seconds(key: str) -> list[Group]:
        rows: list[Group] = []
        for i in turns:
            took = [(name, engines[name][i][key]) for name in engines]
            name = f"prompt of {found['tokens']:,}" if i == 0 else f"tool call {i}"
            rows.append((name, [Bar(n, s, s, s, f"{s:.1f} s") for n, s in took]))
        return rows

    said = f"{found['layers']} layers, {found['threads']} threads, answers of {found['answer']} tokens"
    return picture(
        [("A turn, seconds", seconds("seconds")), ("Processor, seconds", seconds("cpu_s"))],
        said + (", random weights" if found["synthetic"] else ""),
    )


def subtitle(results: Results) -> str:
    runs = list(results.data["runs"].values())
    if not runs:
        return ""
    weights = ", random weights" if runs[0]["synthetic"] else ""
    return f"{runs[0]['layers']} layers in gpt-oss-20b's shape{weights}, {runs[0]['threads']} threads"


def picture(panels: list[tuple[str, list[Group]]], said: str) -> str | None:
    """Horizontal bars, a scale for each panel, medians with the range as a line; None without panels."""
    if not panels:
        return None
    lines: list[str] = []
    y = legend(lines, said, {b.engine for _, rows in panels for _, bars in rows for b in bars})
    for heading, rows in panels:
        y += 16
        lines.append(f'<text class="h" x="20" y="{y}">{escape(heading)}</text>')
        y += 12
        scale = (WIDTH - LABEL - 90) / max(b.high for _, bars in rows for b in bars)
        for name, bars in rows:
            middle = y + len(bars) * BAR / 2 + 4
            lines.append(f'<text x="{LABEL - 12}" y="{middle:.0f}" text-anchor="end">{escape(name)}</text>')
            for b in bars:
                lines += drawn(b, y, scale)
                y += BAR
            y += GAP
        y += 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}">'
    back = f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", back, *lines, "</svg>", ""])


def legend(lines: list[str], said: str, engines: set[str]) -> int:
    x = 20
    for name in (name for name in COLOURS if name in engines):
        lines.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[name]}"/>')
        lines.append(f'<text x="{x + 18}" y="25">{name}</text>')
        x += 40 + 8 * len(name)
    lines.append(f'<text class="n" x="20" y="46">{escape(said)}</text>')
    return 58


def drawn(b: Bar, y: int, scale: float) -> list[str]:
    end, middle = LABEL + b.value * scale, y + BAR / 2 - 1
    parts = [
        f'<rect x="{LABEL}" y="{y}" width="{b.value * scale:.1f}" height="{BAR - 2}"'
        f' fill="{COLOURS.get(b.engine, "#6b7280")}"/>',
    ]
    if b.high > b.low:
        low, high = LABEL + b.low * scale, LABEL + b.high * scale
        parts.append(f'<path class="w" d="M{low:.1f} {middle}H{high:.1f}"/>')
        end = high
    parts.append(f'<text class="n" x="{end + 6:.1f}" y="{y + BAR - 4}">{b.text}</text>')
    return parts


def tables(results: Results) -> str:
    """Everything the results file holds, in Markdown."""
    parts: list[str] = []
    if lines := results.lines():
        parts += ["![](images/peers.svg)", f"{subtitle(results)}. {probes(results)}", peers_table(lines)]
    if found := results.data.get("agent_turns"):
        parts += ["### What an agent's user waits for", "![](images/agent-turns.svg)", agent_table(found)]
    if accuracy := results.data.get("accuracy"):
        parts += ["### Accuracy beside speed", ACCURACY, *map(accuracy_table, accuracy.values())]
    return "\n\n".join(parts)


def probes(results: Results) -> str:
    found = {engine: [b / 1e9 for b in results.bandwidth(engine)] for engine in (OSSIA, LLAMA, IK)}
    told = [f"{name} {median(b):.1f} ({min(b):.1f}–{max(b):.1f})" for name, b in found.items() if b]
    return "Memory read beside the samples, GB/s: " + ", ".join(told) + "."


def peers_table(lines: list[Line]) -> str:
    head = ["", "Ossia", "range", "peer", "", "range", "ratio", "at equal bandwidth", "goal", ""]
    rows: list[list[str]] = []
    for line in lines:
        unit = line.row.unit
        low, high = (shown(v, unit) for v in line.ours_range)
        row = [line.row.name, shown(line.ours, unit), f"{low}–{high}"]
        if line.peer is None or line.peer_range is None:
            row += ["", "", "", ""]
        else:
            low, high = (shown(v, unit) for v in line.peer_range)
            row += [line.row.peer, shown(line.peer, unit), f"{low}–{high}", f"{line.ratio:.2f}"]
        row += ["" if line.equal is None else f"{line.equal:.2f}", line.goal]
        rows.append([*row, {None: "", True: "met", False: "**missed**"}[line.met]])
    return markdown(head, rows)


def agent_table(found: dict[str, Any]) -> str:
    engines: dict[str, list[dict[str, float]]] = found["engines"]
    head = ["", *(f"{n}: {what}" for n in engines for what in ("s", "to first token", "recomputed", "CPU-s"))]
    rows: list[list[str]] = []
    for i in range(len(next(iter(engines.values())))):
        row = [f"prompt of {found['tokens']:,}" if i == 0 else f"call {i}"]
        for turns in engines.values():
            t = turns[i]
            row += [f"{t['seconds']:.1f}", f"{t['first_s']:.1f}", f"{t['recomputed']:,}", f"{t['cpu_s']:.1f}"]
        rows.append(row)
    said = f"{found['layers']} layers, {found['threads']} threads"
    weights = ", random weights" if found["synthetic"] else ""
    said += f"{weights}; each call adds {found['new']} tokens, answers have {found['answer']}."
    return said + "\n\n" + markdown(head, rows)


def accuracy_table(found: dict[str, Any]) -> str:
    head = ["against float32", "tokens", "KL, mean", "median", "99 %", "same top-1", "other experts"]
    rows: list[list[str]] = []
    for name, s in found["paths"].items():
        kl = [f"{s[key]:.1e}" for key in ("kl_mean", "kl_median", "kl_p99")]
        routed = f"{s['rerouted']:.2%}" if s["rerouted"] else ""
        rows.append([name, f"{s['tokens']:,}", *kl, f"{s['same_top']:.2%}", routed])
    weights = ", random weights" if found["synthetic"] else ""
    said = f"{found['model']}{weights}, windows of {found['window']:,} tokens; KL in nats."
    return said + "\n\n" + markdown(head, rows)


def markdown(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def fill(page: Path, made: str) -> None:
    """Put `made` between the marks."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{page} has no marks to write between: {BEGIN} and {END}")
    before, rest = text.split(BEGIN, 1)
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.split(END, 1)[1]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    results = Results(options.results)
    turns = results.data.get("agent_turns")
    pictures = {
        "peers.svg": peers_picture(results),
        "agent-turns.svg": agent_picture(turns) if turns else None,
    }
    for name, drawing in pictures.items():
        if drawing is not None:
            (options.docs / "images" / name).write_text(drawing)
    fill(options.docs / "performance.md", tables(results))


if __name__ == "__main__":
    main()
