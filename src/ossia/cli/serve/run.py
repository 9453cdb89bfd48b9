"""From what the options ask for to a running server: keys, models, store, application, host."""

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from ossia.agent.model import Model
from ossia.cli.app import App
from ossia.cli.failures import EXIT_INTERRUPTED
from ossia.cli.serve.words import W
from ossia.errors import SettingsError
from ossia.hub.cluster.connect import aconnect
from ossia.hub.load import load
from ossia.hub.progress import Progress
from ossia.hub.sources import FoundModel
from ossia.server.app import build_app
from ossia.server.front.connections import allow_files
from ossia.server.front.gate import Access, is_loopback
from ossia.server.front.hosting import PORT, Host, bind
from ossia.server.models.catalogue import Catalogue
from ossia.server.models.entry import Models
from ossia.server.models.fixed import FixedModel
from ossia.server.models.residency import HubModels
from ossia.server.operations.admission import Admission
from ossia.server.operations.journal import Journal, Level
from ossia.server.operations.keys import KeyRing, keys_path
from ossia.server.sealing import Sealer
from ossia.server.service import Service
from ossia.server.store.database import store_path
from ossia.server.store.store import Store

_CALLABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_BAR = 30  # characters of the bar that shows the loading


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of `ossia serve`; see its help."""

    host: str
    port: int
    key_file: Path | None
    store: bool
    keep_alive_s: float
    max_running: int
    max_waiting: int
    max_context: int | None
    timeout_s: float | None
    max_body_bytes: int
    grace_s: float
    origins: tuple[str, ...]
    log_level: Level
    log_text: bool
    urls: tuple[str, ...]
    tokenizer: Path | None


async def serve(app: App, wanted: Wanted) -> None:
    """Serve until a signal, or until the first model cannot be loaded, which is then raised."""
    allow_files()
    keys = _keys(app, wanted)
    models = await _models(app, wanted)
    with bind(wanted.host, wanted.port) as listening:
        service = _service(app, wanted, models)
        access = Access(
            keys=keys,
            local_names=is_loopback(wanted.host),
            origins=wanted.origins,
            max_body_bytes=wanted.max_body_bytes,
        )
        host = Host(
            build_app(service, access), service, grace_s=wanted.grace_s, max_body_bytes=wanted.max_body_bytes
        )
        _say_where(app, models, wanted.host, listening.getsockname()[1], keys)
        beginning = asyncio.create_task(_begin(models, host))
        await host.serve([listening])
        if host.force_exit:
            os._exit(EXIT_INTERRUPTED)  # a load or a step under way is not waited for
        await beginning


def _keys(app: App, wanted: Wanted) -> KeyRing:
    """The keys that are accepted; raises SettingsError where one is needed and there is none."""
    keys = KeyRing(wanted.key_file or keys_path(app.settings), app.settings.api_key)
    if not is_loopback(wanted.host) and not keys.needed:
        raise SettingsError(
            app.say(W.NO_KEY, host=wanted.host), value=wanted.host, remedy=app.say(W.MAKE_KEY)
        )
    return keys


async def _models(app: App, wanted: Wanted) -> Models:
    settings, name = app.settings, app.extra.get("model")
    if app.load is not None:
        return FixedModel(app.load(name, settings))
    if wanted.urls:
        key, tokenizer = settings.vllm_api_key, wanted.tokenizer
        return FixedModel(await aconnect(wanted.urls, name, api_key=key, tokenizer=tokenizer))

    def load_found(found: FoundModel, progress: Progress) -> Model:
        return load(
            str(found.path) if found.source == "folder" else found.name,
            max_context=wanted.max_context,
            max_sequences=wanted.max_running,
            progress=progress,
            settings=settings,
        )

    return HubModels(Catalogue(settings, name), load_found, keep_alive_s=wanted.keep_alive_s)


def _service(app: App, wanted: Wanted, models: Models) -> Service:
    settings = app.settings
    return Service(
        models,
        admission=Admission(wanted.max_running, wanted.max_waiting),
        journal=Journal(wanted.log_level, with_text=wanted.log_text),
        sealer=Sealer(settings.data_dir / "server" / "key"),
        store=Store.open(store_path(settings)) if wanted.store else None,
        timeout_s=wanted.timeout_s,
    )


async def _begin(models: Models, host: Host) -> None:
    """Load the first model, showing how far it is; where that fails, the server ends with the reason."""
    if not isinstance(models, HubModels):
        return
    showing = asyncio.create_task(_show_loading(models))
    try:
        await models.preload()
    except BaseException:
        if not host.should_exit:
            host.stop()
            raise
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing


async def _show_loading(models: HubModels) -> None:
    """A bar on a terminal's standard error."""
    if not sys.stderr.isatty():
        return
    try:
        while True:
            if (loading := models.loading()) is not None:
                name, done = loading
                bar = ("█" * round(done * _BAR)).ljust(_BAR, "·")
                click.echo(f"\r{name} {bar} {done:4.0%}", nl=False, err=True)
            await asyncio.sleep(0.1)
    finally:
        click.echo("\r\x1b[2K", nl=False, err=True)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _say_where(app: App, models: Models, host: str, port: int, keys: KeyRing) -> None:
    """What is served, and three lines how to use it: from here, where the address is not one to call."""
    url = _url(_CALLABLE.get(host, host), port)
    options = "" if port == PORT else f" --port {port}"
    key = " --key …" if keys.needed else ""
    click.echo(app.say(W.SERVING, model=models.resolve(None), url=_url(host, port)))
    click.echo(app.say(W.USE_OPENAI, url=url, secret="…" if key else "none"))
    click.echo(app.say(W.USE_OLLAMA, url=url))
    click.echo(app.say(W.USE_AGENT, options=options + key))
    click.echo(app.say(W.STOP_HINT))
    sys.stdout.flush()
