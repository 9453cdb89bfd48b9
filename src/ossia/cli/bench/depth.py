"""``ossia bench depth``: decoding behind a long context, beside decoding behind a short one."""

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from ossia.bench.depth import DepthReport, measure_depth
from ossia.cli.app import App, command, model_option, option
from ossia.cli.bench.words import W
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.hub.cache import human


@command("depth", help=W.HELP_DEPTH)
@click.argument("name", metavar="[MODEL]", required=False)
@model_option
@option("--depth", type=click.IntRange(64), default=32_768, metavar="N", help=W.OPT_RANDOM_DEPTH)
@option("--quick", is_flag=True, help=W.OPT_QUICK)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def depth_command(app: App, name: str | None, depth: int, quick: bool, as_json: bool) -> None:
    rounds, sample_s = (2, 1.0) if quick else (5, 3.0)
    with showing_progress() as progress:
        report = measure_depth(
            name or app.extra.get("model"),
            depth,
            rounds=rounds,
            sample_s=sample_s,
            progress=progress,
            settings=app.settings,
        )
    if as_json:
        click.echo(json.dumps(report.to_dict(), ensure_ascii=False, indent=1))
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    headline = app.say(
        W.HEADLINE,
        name=report.model,
        layers=report.layers,
        numerics=report.numerics,
        isa=report.isa,
        threads=report.threads,
    )
    console.print(headline, style="bold")
    if report.synthetic:
        console.print(app.say(W.SYNTHETIC), style="yellow")
    console.print(app.say(W.RANDOM_KV, kind=report.kv_cache, size=human(report.kv_bytes)), style="yellow")
    console.print()
    console.print(_table(report, app))
    console.print()
    console.print(_plan(report, app))


def _table(report: DepthReport, app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(app.say(W.COL_WHAT), no_wrap=True)
    for heading in (W.COL_TOK_S, W.COL_RANGE, W.COL_ROOFLINE, W.COL_OF_SHORT):
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    for depth, figure, share in ((32, report.short, 1.0), (report.depth, report.deep, report.share)):
        table.add_row(
            app.say(W.ROW_DEPTH, depth=f"{depth:,}"),
            f"{figure.tok_s:.1f}",
            f"{min(figure.samples):.1f} … {max(figure.samples):.1f}",
            f"{figure.roofline_tok_s:.1f}",
            f"{share:.0%}",
        )
    return table


def _plan(report: DepthReport, app: App) -> str:
    plan = report.plan
    weights, kv = plan.experts + plan.embedding + plan.dense, plan.kv_full + plan.kv_window
    return app.say(
        W.WHOLE_CONTEXT,
        context=report.context,
        weights=human(weights),
        kv=human(kv),
        work=human(plan.total - weights - kv),
        total=human(plan.total),
    )
