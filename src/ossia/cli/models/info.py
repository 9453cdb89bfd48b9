"""``ossia info``: what a model is, and whether it fits in the memory that is available now."""

import json
import sys
from dataclasses import asdict
from typing import Any

import click
import psutil
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ossia.cli.app import App, command, model_option, option
from ossia.cli.messages import M
from ossia.cli.models.progress import showing_progress
from ossia.cli.screen import for_stream
from ossia.hub.cache import human
from ossia.hub.default import choose_default
from ossia.hub.sources import FoundModel, locate, require_loadable
from ossia.hub.verify import Verification, verify
from ossia.model.config import ModelConfig, load_config
from ossia.model.plan import MemoryPlan, ParameterCount, count_parameters, memory_plan
from ossia.settings import Numerics

_CONTEXTS = (4096, 32768)  # planned for besides the model's own limit


@command("info", help=M.HELP_INFO)
@click.argument("name", metavar="[MODEL]", required=False)
@model_option
@option("--verify", "verified", is_flag=True, help=M.OPT_VERIFY)
@option("--json", "as_json", is_flag=True, help=M.OPT_JSON)
@click.pass_obj
def info_command(app: App, name: str | None, verified: bool, as_json: bool) -> None:
    model = locate(choose_default(name or app.extra.get("model"), app.settings), app.settings)
    require_loadable(model)
    config = load_config(model.path)
    available = psutil.virtual_memory().available
    checked: Verification | None = None
    if verified:
        with showing_progress() as progress:
            checked = verify(model, progress=progress)
    plans = plan_memory(config, app.settings.numerics)
    if as_json:
        click.echo(
            json.dumps(_to_dict(model, config, plans, available, checked), ensure_ascii=False, indent=1)
        )
        return
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = 160
    console.print(_facts(model, config, available, app))
    console.print()
    console.print(_memory_table(plans, available, app))
    if checked:
        click.echo("\n" + _verdict(checked, app))


def plan_memory(config: ModelConfig, numerics: Numerics) -> dict[int, MemoryPlan]:
    """Return the memory plan of one conversation, by its length in tokens."""
    limit = config.max_position_embeddings
    lengths = [length for length in _CONTEXTS if length < limit]
    return {length: memory_plan(config, numerics, length) for length in (*lengths, limit)}


def _facts(model: FoundModel, config: ModelConfig, available: int, app: App) -> Table:
    count = count_parameters(config)
    experts = app.say(M.INFO_EXPERTS, all=config.num_local_experts, used=config.num_experts_per_tok)
    heads = app.say(M.INFO_HEADS, query=config.num_attention_heads, kv=config.num_key_value_heads)
    shape = app.say(M.INFO_SHAPE, layers=config.num_hidden_layers, width=config.hidden_size)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for heading, value in (
        (M.COL_NAME, model.name),
        (M.INFO_PLACE, f"{model.path} ({human(model.size_bytes)})"),
        (M.INFO_ARCHITECTURE, f"gpt-oss · {shape} · {experts} · {heads} · {_precision(config)}"),
        (M.INFO_PARAMETERS, _parameters(count, app)),
        (M.INFO_CONTEXT, app.say(M.INFO_TOKENS, count=config.max_position_embeddings)),
        (M.INFO_NUMERICS, app.settings.numerics),
        (M.INFO_AVAILABLE, human(available)),
    ):
        table.add_row(app.say(heading), Text(for_stream(value, sys.stdout)))
    return table


def _memory_table(plans: dict[int, MemoryPlan], available: int, app: App) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    headings = (M.INFO_CONTEXT, M.MEM_WEIGHTS, M.MEM_KV, M.MEM_WORK, M.MEM_TOTAL)
    for heading in headings:
        table.add_column(app.say(heading), justify="right", no_wrap=True)
    table.add_column("")
    for length, plan in plans.items():
        missing = plan.total - available
        fits = app.say(M.INFO_FITS) if missing <= 0 else app.say(M.INFO_DOES_NOT_FIT, missing=human(missing))
        parts = (
            plan.experts + plan.embedding + plan.dense,
            plan.kv_full + plan.kv_window,
            plan.activations + plan.logits,
            plan.total,
        )
        table.add_row(f"{length:,}", *map(human, parts), Text(fits, style="" if missing <= 0 else "red"))
    return table


def _parameters(count: ParameterCount, app: App) -> str:
    return app.say(M.INFO_ACTIVE, total=_short(count.total), active=_short(count.active))


def _short(count: int) -> str:
    return f"{count / 1e9:.2f} B" if count >= 1e9 else f"{count / 1e6:.1f} M"


def _precision(config: ModelConfig) -> str:
    return "MXFP4" if config.quantization == "mxfp4" else "bf16"


def _verdict(checked: Verification, app: App) -> str:
    said = app.say(M.INFO_VERIFIED, tensors=checked.tensors, files=len(checked.hashed))
    if checked.unhashed:
        said += "\n" + app.say(M.INFO_UNHASHED, names=", ".join(checked.unhashed))
    return for_stream(said, sys.stdout)


def _to_dict(
    model: FoundModel,
    config: ModelConfig,
    plans: dict[int, MemoryPlan],
    available: int,
    checked: Verification | None,
) -> dict[str, Any]:
    return {
        "name": model.name,
        "source": model.source,
        "path": str(model.path),
        "size_bytes": model.size_bytes,
        "parameters": asdict(count_parameters(config)),
        "config": asdict(config),
        "available_bytes": available,
        "memory": {length: {**asdict(plan), "total": plan.total} for length, plan in plans.items()},
        "verified": asdict(checked) if checked else None,
    }
