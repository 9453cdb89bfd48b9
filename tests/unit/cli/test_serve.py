"""``ossia serve`` and ``ossia keys``: what they refuse before anything is loaded, and what they print."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx2
import pytest

from ossia.cli.main import execute
from ossia.cli.serve.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("90", 90.0),
        ("0", 0.0),
        ("-1", -1.0),
        ("-1m", -1.0),
        ("250ms", 0.25),
    ],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "5 m", "soon", "--1", "5m!", "-"])
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


def test_another_address_needs_a_key(scripted, capsys):
    assert execute(["serve", "--host", "0.0.0.0"], scripted().app) == 2
    assert "ossia keys create" in capsys.readouterr().err


def test_a_taken_port_is_an_error_that_names_it(scripted, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert execute(["serve", "--port", str(port), "--no-store"], scripted().app) == 2
    assert str(port) in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--keep-alive", "soon"],
        ["--cors", "localhost"],
        ["--max-body", "much"],
        ["--backend", "vllm"],
        ["--url", "x"],
    ],
)
def test_impossible_options_are_refused(scripted, options):
    assert execute(["serve", *options], scripted().app) == 2


def test_keys_are_made_listed_and_revoked(scripted, capsys):
    app = scripted().app
    assert execute(["keys", "list"], app) == 0
    assert "ossia keys create" in capsys.readouterr().out
    assert execute(["keys", "create", "laptop", "--no-reasoning", "--at-once", "2"], app) == 0
    secret = capsys.readouterr().out.strip()
    assert secret.startswith("ossia-")
    assert execute(["keys", "list"], app) == 0
    shown = capsys.readouterr().out
    assert "laptop" in shown
    assert secret not in shown
    assert execute(["keys", "list", "--json"], app) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["sees_reasoning"], entry["at_once"]) == ("laptop", False, 2)
    assert execute(["keys", "revoke", "laptop"], app) == 0
    assert execute(["keys", "revoke", "laptop"], app) == 1


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_a_signal_ends_a_real_server_well(tmp_path):
    program = (
        "import sys; from ossia.cli.app import App; from ossia.cli.main import execute;"
        "from ossia.settings import load_settings; from ossia.agent.model import Model, ModelCard;"
        "from ossia.backends.scripted import ScriptedBackend; from ossia.tokenizer import load_o200k_harmony;"
        "load = lambda name, _: Model(ScriptedBackend([]), load_o200k_harmony(), ModelCard('pocket'));"
        "sys.exit(execute(['serve', '--port', '0'], App(load_settings(), load=load)))"
    )
    env = {**os.environ, "OSSIA_HOME": str(tmp_path), "OSSIA_LANG": "en"}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "pocket" in first
        url = first.split(" at ")[1].strip()
        for _ in range(200):
            try:
                health = httpx2.get(f"{url}/health", trust_env=False)
                break
            except httpx2.ConnectError:
                time.sleep(0.05)
        assert health.json()["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        rest, errors = process.stdout.read(), process.communicate(timeout=20)[1]
    assert process.returncode == 0, errors
    assert f"OPENAI_BASE_URL={url}/v1" in rest
    assert f"ossia launch --port {url.rsplit(':', 1)[1]} codex" in rest
