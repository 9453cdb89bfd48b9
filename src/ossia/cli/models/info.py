"""``ossia info``: what a model is, and whether it fits in the memory that is available now."""

import json
import sys
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App, command, model_option, option
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.cli.screen import for_stream
from ossia.hub.cache import human
from ossia.hub.default import choose_default
from ossia.hub.info import ModelInfo, describe
from ossia.hub.verify import Verification, verify
from ossia.model.memory.fit import Fit, fit, largest_offer, needed
from ossia.model.plan import MemoryPlan, memory_plan

_CONTEXTS = (8192, 32768)  # planned for besides the model's own limit
_FITS: dict[Fit, tuple[M, str]] = {
    "fits": (M.INFO_FITS, ""),
    "tight": (M.INFO_TIGHT, "yellow"),
    "too large": (M.INFO_DOES_NOT_FIT, "red"),
}


@command("info", help=M.HELP_INFO)
@click.argument("name", metavar="[MODEL]", required=False)
@model_option
@option("--verify", "verified", is_flag=True, help=M.OPT_VERIFY)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def info_command(app: App, name: str | None, verified: bool, as_json: bool) -> None:
    wanted = choose_default(name or app.extra.get("model"), app.settings)
    info = describe(wanted, settings=app.settings)
    checked: Verification | None = None
    if verified:
        with showing_progress() as progress:
            checked = verify(info.model, progress=progress)
    plans = plan_memory(info)
    if as_json:
        click.echo(json.dumps(_to_dict(info, plans, checked), ensure_ascii=False, indent=1))
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    console.print(_facts(info, app))
    console.print()
    console.print(_memory_table(info, plans, app))
    if checked:
        click.echo("\n" + _verdict(checked, app))


def plan_memory(info: ModelInfo) -> dict[int, MemoryPlan]:
    """Return the memory plan of one conversation, by its length in tokens."""
    limit = info.config.max_position_embeddings
    lengths = [length for length in _CONTEXTS if length < limit]
    return {
        length: memory_plan(info.config, info.numerics, length, kv_cache=info.kv_cache)
        for length in (*lengths, limit)
    }


def _facts(info: ModelInfo, app: App) -> Table:
    model, config = info.model, info.config
    experts = app.say(M.INFO_EXPERTS, all=config.num_local_experts, used=config.num_experts_per_tok)
    heads = app.say(M.INFO_HEADS, query=config.num_attention_heads, kv=config.num_key_value_heads)
    shape = app.say(M.INFO_SHAPE, layers=config.num_hidden_layers, width=config.hidden_size)
    stored = "MXFP4" if config.quantization == "mxfp4" else "bf16"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, value in (
        (M.COL_NAME, model.name),
        (M.INFO_PLACE, f"{model.path} ({human(model.size_bytes)}, {model.format})"),
        (M.INFO_ARCHITECTURE, f"gpt-oss · {shape} · {experts} · {heads} · {stored}"),
        (M.INFO_PARAMETERS, _parameters(info, app)),
        (M.INFO_CONTEXT, app.say(M.INFO_TOKENS, count=config.max_position_embeddings)),
        (M.INFO_NUMERICS, info.numerics),
        (M.MEM_KV, info.kv_cache),
        (M.INFO_AVAILABLE, human(info.available_bytes)),
        (M.COL_USABLE, app.say(M.YES) if model.loadable else model.missing),
    ):
        table.add_row(app.say(heading), Text(for_stream(value, sys.stdout)))
    return table


def _memory_table(info: ModelInfo, plans: dict[int, MemoryPlan], app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in (M.INFO_CONTEXT, M.MEM_WEIGHTS, M.MEM_KV, M.MEM_WORK, M.MEM_TOTAL):
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    table.add_column("")
    for length, plan in plans.items():
        weights = plan.experts + plan.embedding + plan.dense
        cache, work = plan.kv_full + plan.kv_window, plan.activations + plan.logits
        said, style = _FITS[fit(plan, info.config, info.available_bytes, mapped=info.model.mapped)]
        missing = human(max(needed(plan, mapped=info.model.mapped) - info.available_bytes, 0))
        option = largest_offer(plan, info.config, info.available_bytes)
        sizes = map(human, (weights, cache, work, plan.total))
        table.add_row(f"{length:,}", *sizes, Text(app.say(said, missing=missing, option=option), style=style))
    return table


def _parameters(info: ModelInfo, app: App) -> str:
    total, active = _short(info.parameters.total), _short(info.parameters.active)
    return app.say(M.INFO_ACTIVE, total=total, active=active)


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _verdict(checked: Verification, app: App) -> str:
    said = app.say(M.INFO_VERIFIED, tensors=checked.tensors, files=len(checked.hashed))
    if checked.unhashed:
        said += "\n" + app.say(M.INFO_UNHASHED, names=", ".join(checked.unhashed))
    return for_stream(said, sys.stdout)


def _to_dict(info: ModelInfo, plans: dict[int, MemoryPlan], checked: Verification | None) -> dict[str, Any]:
    def planned(plan: MemoryPlan) -> dict[str, Any]:
        verdict = fit(plan, info.config, info.available_bytes, mapped=info.model.mapped)
        offer = largest_offer(plan, info.config, info.available_bytes) if verdict == "tight" else None
        return {**asdict(plan), "total": plan.total, "fit": verdict, "max_memory": offer}

    return {
        "name": info.model.name,
        "source": info.model.source,
        "path": str(info.model.path),
        "format": info.model.format,
        "size_bytes": info.model.size_bytes,
        "usable": info.model.loadable,
        "parameters": asdict(info.parameters),
        "config": asdict(info.config),
        "numerics": info.numerics,
        "kv_cache": info.kv_cache,
        "available_bytes": info.available_bytes,
        "memory": {length: planned(plan) for length, plan in plans.items()},
        "verified": asdict(checked) if checked else None,
    }
