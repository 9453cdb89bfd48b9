"""``ossia bench run``: measure a model, each figure beside its roofline."""

import json
import sys
from dataclasses import replace
from statistics import median

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.bench.report import Figure, Report
from ossia.bench.run import QUICK, Plan, bench_model
from ossia.cli.app import App, command, memory_option, model_option, option, screened_head_option
from ossia.cli.bench.words import W
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.cli.screen import for_stream
from ossia.hub.cache import human
from ossia.kernels.experts import ExpertCounts

_WIDTH_ELSEWHERE = 160  # columns for a pipe: as in `ossia info`
_NAMES = {
    "decode": W.ROW_DECODE,
    "streams_4": W.ROW_STREAMS_4,
    "streams_8": W.ROW_STREAMS_8,
    "depth": W.ROW_DEPTH,
    "prefill_512": W.ROW_PREFILL_512,
    "prefill_2048": W.ROW_PREFILL_2048,
}


@command("run", help=W.HELP_RUN)
@click.argument("name", metavar="[MODEL]", required=False)
@model_option
@option("--depth", type=click.IntRange(1), metavar="N", help=W.OPT_DEPTH)
@memory_option
@option("--quick", is_flag=True, help=W.OPT_QUICK)
@screened_head_option
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def run_command(app: App, name: str | None, depth: int | None, quick: bool, as_json: bool) -> None:
    plan = QUICK if quick else Plan()
    with showing_progress() as progress:
        report = bench_model(
            name or app.extra.get("model"),
            plan=plan if depth is None else replace(plan, depth=depth),
            progress=progress,
            settings=app.settings,
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_ELSEWHERE
    console.print(_headline(report, app))
    console.print()
    console.print(_figures(report, app))
    console.print()
    console.print(_facts(report, app))


def _headline(report: Report, app: App) -> Text:
    said = app.say(
        W.HEADLINE,
        name=report.model,
        layers=report.layers,
        numerics=report.numerics,
        isa=report.isa,
        threads=report.threads,
    )
    text = Text(for_stream(said, sys.stdout), style="bold")
    if report.synthetic:
        text.append("\n" + app.say(W.SYNTHETIC), style="yellow")
    return text


def _figures(report: Report, app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(app.say(W.COL_WHAT), no_wrap=True)
    for heading in (W.COL_TOK_S, W.COL_RANGE, W.COL_ROOFLINE, W.COL_SHARE):
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    for key, heading in _NAMES.items():
        row = app.say(heading, depth=f"{report.depth:,}") if key == "depth" else app.say(heading)
        figure = report.figures.get(key)
        table.add_row(row, *(_cells(figure) if figure else [app.say(W.NO_ROOM)]))
    return table


def _cells(figure: Figure) -> list[str]:
    spread = f"{_rate(min(figure.samples))} … {_rate(max(figure.samples))}"
    return [_rate(figure.tok_s), spread, _rate(figure.roofline_tok_s), f"{figure.share:.0%}"]


def _rate(tok_s: float) -> str:
    return f"{tok_s:,.1f}" if tok_s < 1000 else f"{tok_s:,.0f}"


def _facts(report: Report, app: App) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    rates = [human(round(value)) + "/s" for value in (*_spread(report.bandwidth),)]
    peaks = [f"{value / 1e9:,.0f} Gop/s" for value in _spread(report.peak)]
    disk = app.say(W.UNKNOWN) if report.disk_bytes_s is None else human(round(report.disk_bytes_s)) + "/s"
    for heading, value in (
        (W.FACT_LOAD, app.say(W.SECONDS, seconds=f"{report.load_s:.2f}")),
        (W.FACT_FIRST, app.say(W.SECONDS, seconds=f"{report.first_token_s:.2f}")),
        (W.FACT_PROMPT, _first_tokens(report, app)),
        (
            W.FACT_MEMORY,
            app.say(W.AT_CONTEXT, size=human(report.peak_rss_bytes), context=report.context_length),
        ),
        (W.FACT_PER_TOKEN, app.say(W.PER_TOKEN, size=human(round(report.cost.read_bytes)))),
        (W.FACT_BANDWIDTH, app.say(W.SPREAD, middle=rates[0], low=rates[1], high=rates[2])),
        (
            W.FACT_PEAK,
            report.peak_kind + ": " + app.say(W.SPREAD, middle=peaks[0], low=peaks[1], high=peaks[2]),
        ),
        (W.FACT_DISK, disk),
        *([(W.FACT_EXPERTS, _streamed(report.experts, app))] if report.experts else []),
    ):
        table.add_row(app.say(heading), value)
    return table


def _streamed(experts: ExpertCounts, app: App) -> str:
    return app.say(W.STREAMED, share=f"{experts.hit_rate:.0%}", size=human(experts.read_bytes))


def _first_tokens(report: Report, app: App) -> str:
    """Of the prompts there was room for."""
    told = [
        app.say(W.OF_TOKENS, seconds=f"{seconds:.2f}", tokens=f"{length:,}")
        for length in (512, 2048)
        if (seconds := report.first_token_of(length)) is not None
    ]
    return ", ".join(told) or app.say(W.NO_ROOM)


def _spread(values: tuple[float, ...]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)
