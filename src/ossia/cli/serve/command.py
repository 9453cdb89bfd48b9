"""``ossia serve``: check what is asked for, take the port, and serve until told to stop."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import click

from ossia.cli.app import (
    App,
    command,
    memory_option,
    model_option,
    option,
    prefix_cache_option,
    screened_head_option,
    speculation_option,
)
from ossia.cli.messages import M
from ossia.cli.serve.durations import parse_duration
from ossia.cli.serve.run import Wanted, serve
from ossia.cli.serve.words import W
from ossia.server.front.gate import MAX_BODY_BYTES
from ossia.server.front.hosting import GRACE_S, HOST, PORT
from ossia.server.operations.admission import RUNNING, WAITING
from ossia.server.operations.journal import LEVELS
from ossia.settings import parse_size

_FILE = click.Path(dir_okay=False, path_type=Path)
Backend = Literal["native", "vllm"]


def _duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    seconds = parse_duration(value)
    if seconds is None:
        raise click.BadParameter(ctx.ensure_object(App).say(W.NOT_A_DURATION, value=value), ctx, param)
    return seconds


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int:
    size = MAX_BODY_BYTES if value is None else parse_size(value)
    if size is None:
        raise click.BadParameter(ctx.ensure_object(App).say(M.NOT_A_SIZE, value=value), ctx, param)
    return size


def _origins(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        scheme, mark, host = origin.partition("://")
        if origin != "*" and not (scheme.isalpha() and mark and host and "/" not in host):
            raise click.BadParameter(ctx.ensure_object(App).say(W.NOT_AN_ORIGIN, value=origin), ctx, param)
    return value


@command("serve", help=W.HELP_SERVE)
@model_option
@option("--host", default=HOST, show_default=True, metavar="ADDRESS", help=W.OPT_HOST)
@option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help=W.OPT_PORT)
@option("--api-key-file", "key_file", type=_FILE, metavar="FILE", help=W.OPT_KEY_FILE)
@option("--store/--no-store", default=True, help=W.OPT_STORE)
@option(
    "--keep-alive",
    "keep_alive_s",
    default="-1",
    show_default=True,
    metavar="TIME",
    callback=_duration,
    help=W.OPT_KEEP_ALIVE,
)
@option("--max-running", type=click.IntRange(1, 256), default=RUNNING, show_default=True, help=W.OPT_RUNNING)
@option("--max-waiting", type=click.IntRange(0), default=WAITING, show_default=True, help=W.OPT_WAITING)
@option("--max-context", type=click.IntRange(1), metavar="N", help=W.OPT_CONTEXT)
@option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), metavar="S", help=W.OPT_TIMEOUT)
@option("--max-body", "max_body_bytes", metavar="SIZE", callback=_size, help=W.OPT_MAX_BODY)
@option("--grace", "grace_s", type=click.FloatRange(0), default=GRACE_S, show_default=True, help=W.OPT_GRACE)
@option("--cors", "origins", multiple=True, metavar="ORIGIN", callback=_origins, help=W.OPT_CORS)
@option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help=W.OPT_LOG_LEVEL)
@option("--log-text", is_flag=True, help=W.OPT_LOG_TEXT)
@option("--backend", type=click.Choice(get_args(Backend)), default="native", help=W.OPT_BACKEND)
@option("--url", "urls", multiple=True, metavar="URL", help=W.OPT_URL)
@option("--tokenizer", type=_FILE, metavar="FILE", help=W.OPT_TOKENIZER)
@memory_option
@prefix_cache_option
@speculation_option
@screened_head_option
@click.pass_obj
def serve_command(app: App, backend: Backend, urls: tuple[str, ...], **options: Any) -> None:
    if (backend == "vllm") != bool(urls):
        raise click.UsageError(app.say(W.URL_ALONE if urls else W.NEEDS_URL))
    wanted = Wanted(urls=urls, **options)
    asyncio.run(serve(app, replace(wanted, host=wanted.host.strip("[]"))))
