"""The server a client is pointed at: found where one runs, started where none does."""

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired
from typing import Any, cast
from urllib.parse import quote

import httpx2

from ossia.cli.launch.clients import Served
from ossia.errors import BackendError, ModelNotFoundError, SettingsError, UnauthorizedError

_START_S = 120.0  # a server that is not ready by then has a fault its log tells
_STOP_S = 15.0
_ASK_S = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server is, or is to be: the loopback and a port; `key` where it wants one."""

    port: int
    key: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def is_running(address: Address) -> bool:
    """Whether a server of ours answers there; raises SettingsError where another program does."""
    try:
        answer = _get(address, "/health")
    except httpx2.ConnectError:
        return False
    except httpx2.TransportError as error:
        raise _taken(address) from error
    if answer.status_code != 200 or not isinstance(_json(answer).get("status"), str):
        raise _taken(address)
    return True


def served(address: Address, model: str) -> Served:
    """What a running server has under the name `model`.

    Raises ModelNotFoundError for a name it does not know, UnauthorizedError where it wants a key.
    """
    answer = _get(address, f"/v1/models/{quote(model, safe='/:')}")
    if answer.status_code in (401, 403):
        raise UnauthorizedError(
            f"the server at {address.url} wants an API key", remedy="Give one of its keys with --key."
        )
    if answer.status_code != 200:
        raise ModelNotFoundError(
            f"the server at {address.url} has no model {model!r}",
            value=model,
            limit=_names(address),
            remedy="Choose one of these with -m, or pull it.",
        )
    entry = _json(answer)
    context = entry.get("context_length")
    return Served(
        address.url,
        str(entry.get("id") or model),
        context if isinstance(context, int) and context > 0 else None,
        address.key,
    )


@contextmanager
def started(address: Address, options: list[str], log: Path) -> Generator[None]:
    """Run ``ossia OPTIONS serve`` on the address's port for as long as the block runs, its words in `log`.

    Raises BackendError where it does not come up.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "ossia", *options, "serve", "--port", str(address.port)]
    with log.open("wb") as file:
        # A session of its own: Ctrl-C in the terminal is for the client alone.
        server = Popen(command, stdin=DEVNULL, stdout=file, stderr=STDOUT, start_new_session=True)
    try:
        _await_ready(server, address, log)
        yield
    finally:
        _stop(server)


def _await_ready(server: "Popen[bytes]", address: Address, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise BackendError(
                "the server did not start",
                value=_last_line(log),
                remedy=f"All it said is in {log}.",
            )
        if is_running(address):
            return
        time.sleep(0.1)
    raise BackendError(
        "the server did not get ready",
        value=_last_line(log),
        limit=f"{_START_S:.0f} s",
        remedy=f"All it said is in {log}.",
    )


def _stop(server: "Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(_STOP_S)
    except TimeoutExpired:
        server.kill()
        server.wait()


def _last_line(log: Path) -> str | None:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else None


def _names(address: Address) -> list[str]:
    data = _json(_get(address, "/v1/models")).get("data")
    entries = cast(list[object], data) if isinstance(data, list) else []
    return [str(cast(dict[str, object], e).get("id")) for e in entries if isinstance(e, dict)]


def _get(address: Address, path: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    # No proxy of the environment: the server is on this machine.
    with httpx2.Client(trust_env=False, timeout=_ASK_S, headers=headers) as client:
        return client.get(address.url + path)


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        value: object = answer.json()
    except ValueError:
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _taken(address: Address) -> SettingsError:
    return SettingsError(
        f"another program answers on port {address.port}",
        value=address.port,
        remedy="Choose another port with --port, or stop that program.",
    )
