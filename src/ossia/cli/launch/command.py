"""``ossia launch``: write a client's configuration, see that a server runs, start the client."""

import shlex
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from subprocess import Popen

import click

from ossia.cli.app import App, command, model_option, option
from ossia.cli.launch.clients import CLIENTS, Client, Plan, Served
from ossia.cli.launch.server import Address, is_running, served, started
from ossia.cli.launch.words import W
from ossia.errors import SettingsError
from ossia.hub.cache import write_atomic
from ossia.hub.default import choose_default
from ossia.server.front.hosting import PORT
from ossia.settings import child_environment


@command(
    "launch",
    help=W.HELP_LAUNCH,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@model_option
@option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True, help=W.OPT_PORT)
@option("--key", metavar="KEY", help=W.OPT_KEY)
@option("--print", "only_print", is_flag=True, help=W.OPT_PRINT)
@click.argument("client", metavar="CLIENT", type=click.Choice(list(CLIENTS)))
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def launch_command(
    app: App, port: int, key: str | None, only_print: bool, client: str, arguments: tuple[str, ...]
) -> int:
    address, chosen = Address(port, key), CLIENTS[client]
    model = choose_default(app.extra.get("model"), app.settings)
    folder = app.settings.data_dir / "launch"
    if only_print:
        there = served(address, model) if is_running(address) else Served(address.url, model, None, key)
        _print(app, chosen.plan(there, folder / client, arguments))
        return 0
    executable = _executable(chosen)
    with ExitStack() as stack:
        _have_server(app, address, model, folder / "server.log", stack)
        plan = chosen.plan(served(address, model), folder / client, arguments)
        _write(plan)
        _say(app, plan)
        return _run(executable, plan)


def _executable(client: Client) -> str:
    found = which(client.executable)
    if found is None:
        raise SettingsError(
            f"{client.executable} is not installed, or not on the PATH",
            value=client.executable,
            remedy=f"Install it with: {client.install}",
        )
    return found


def _have_server(app: App, address: Address, model: str, log: Path, stack: ExitStack) -> None:
    if is_running(address):
        _tell(app.say(W.USING, url=address.url))
        return
    _tell(app.say(W.STARTING, url=address.url, log=log))
    stack.enter_context(started(address, _server_options(app, model), log))


def _server_options(app: App, model: str) -> list[str]:
    """The options of this command that are a server's too; the rest is in the environment it inherits."""
    settings = app.settings
    options = ["--lang", settings.lang, "-m", model, "--numerics", settings.numerics]
    if settings.kv_cache is not None:
        options += ["--kv-cache", settings.kv_cache]
    if settings.threads is not None:
        options += ["--threads", str(settings.threads)]
    return options


def _write(plan: Plan) -> None:
    for path, text in plan.files.items():
        write_atomic(path, text.encode())


def _say(app: App, plan: Plan) -> None:
    for path in plan.files:
        _tell(app.say(W.WROTE, path=path))
    for name, value in plan.env.items():
        _tell(app.say(W.SET, name=name, value=value))
    for name in plan.secret:
        _tell(app.say(W.SET_SECRET, name=name))
    _tell(app.say(W.RUNNING, command=shlex.join(plan.command)))


def _tell(text: str) -> None:
    click.echo(text, err=True)  # standard output is the client's


def _print(app: App, plan: Plan) -> None:
    """The whole plan as text that a shell could be given; nothing is written or started."""
    for path, text in plan.files.items():
        click.echo(app.say(W.WOULD_WRITE, path=path))
        click.echo(text)
    for name, value in plan.env.items():
        click.echo(f"{name}={shlex.quote(value)}")
    for name in plan.secret:
        click.echo(app.say(W.WOULD_SET_SECRET, name=name))
    click.echo(shlex.join(plan.command))


def _run(executable: str, plan: Plan) -> int:
    """Run the client to its end and return its exit code; Ctrl-C is for it to take."""
    env = child_environment({**plan.env, **plan.secret})
    process = Popen([executable, *plan.command[1:]], env=env)
    while True:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            continue
        return code if code >= 0 else 128 - code
