"""`ossia launch`: the files it writes, the client it starts, and what it leaves alone."""

import json
import socket
import stat
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ossia.bench.make import make_checkpoint
from ossia.cli.app import App
from ossia.cli.launch.clients import CLIENTS, Plan, Served
from ossia.cli.main import execute
from ossia.settings import Settings

Capture = pytest.CaptureFixture[str]
MODEL = "openai/gpt-oss-20b"
PAGES: dict[str, Any] = {
    "/health": {"status": "ok"},
    "/v1/models": {"data": [{"id": MODEL}]},
    "/v1/models/gpt-oss:20b": {"id": MODEL, "context_length": 65_536},
}


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Start a server of fixed pages on a free port; it refuses a request without `key` where one is given."""
    servers: list[ThreadingHTTPServer] = []

    def start(pages: dict[str, Any], key: str | None = None) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status = 200 if self.path in pages else 404
                if key and self.path != "/health" and self.headers["Authorization"] != f"Bearer {key}":
                    status = 401
                body = json.dumps(pages.get(self.path, {})).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None: ...

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1].server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a program on an otherwise empty PATH that notes its arguments and variables, and exits with 7."""

    def install(name: str) -> Path:
        noted = tmp_path / "noted.json"
        script = tmp_path / "bin" / name
        script.parent.mkdir()
        script.write_text(
            "#!/usr/bin/python3\nimport json, os, sys\n"
            f"json.dump([sys.argv[1:], dict(os.environ)], open({str(noted)!r}, 'w'))\nsys.exit(7)\n"
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(script.parent))
        return noted

    return install


def launch(settings: Settings, port: int, *words: str) -> int:
    return execute(["launch", "-m", "gpt-oss:20b", "--port", str(port), *words], App(settings))


def plan(client: str, folder: Path, context: int | None = 65_536, key: str | None = None) -> Plan:
    return CLIENTS[client].plan(Served("http://127.0.0.1:1", MODEL, context, key), folder, ())


def test_the_client_gets_its_arguments_its_configuration_and_its_exit_code(
    settings: Settings, serve: Callable[..., int], client: Callable[..., Path], capsys: Capture
) -> None:
    noted, port = client("codex"), serve(PAGES)
    assert launch(settings, port, "codex", "exec", "--json", "-m", "--port", "two words") == 7
    arguments, env = json.loads(noted.read_text())
    assert arguments == ["exec", "--json", "-m", "--port", "two words"]
    home = settings.data_dir / "launch" / "codex"
    assert env["CODEX_HOME"] == str(home)
    config = tomllib.loads((home / "config.toml").read_text())
    assert config["model"] == MODEL
    assert config["model_context_window"] == 65_536
    provider = config["model_providers"][config["model_provider"]]
    assert provider["base_url"] == f"http://127.0.0.1:{port}/v1"
    assert provider["wire_api"] == "responses"
    told = capsys.readouterr()
    assert told.out == ""
    assert f"using the server at http://127.0.0.1:{port}" in told.err
    assert f"wrote {home / 'config.toml'}" in told.err
    assert "running codex exec --json -m --port 'two words'" in told.err


def test_a_key_reaches_the_client_but_no_file_and_no_terminal(
    settings: Settings, serve: Callable[..., int], client: Callable[..., Path], capsys: Capture
) -> None:
    noted, port = client("codex"), serve(PAGES, key="sk-secret")
    assert launch(settings, port, "--key", "sk-secret", "codex") == 7
    config = (settings.data_dir / "launch" / "codex" / "config.toml").read_text()
    name = tomllib.loads(config)["model_providers"]["ossia"]["env_key"]
    assert json.loads(noted.read_text())[1][name] == "sk-secret"
    told = capsys.readouterr()
    assert "sk-secret" not in config + told.out + told.err
    assert f"set {name} (not shown)" in told.err


def test_a_server_that_wants_a_key_is_said_so(
    settings: Settings, serve: Callable[..., int], client: Callable[..., Path], capsys: Capture
) -> None:
    client("codex")
    assert launch(settings, serve(PAGES, key="sk-secret"), "codex") == 1
    assert "--key" in capsys.readouterr().err


def test_a_model_the_server_lacks_is_refused_with_those_it_has(
    settings: Settings, serve: Callable[..., int], client: Callable[..., Path], capsys: Capture
) -> None:
    client("codex")
    assert execute(["launch", "-m", "other", "--port", str(serve(PAGES)), "codex"], App(settings)) == 3
    told = capsys.readouterr().err
    assert "no model 'other'" in told
    assert MODEL in told


def test_a_port_of_another_program_is_refused(
    settings: Settings, serve: Callable[..., int], client: Callable[..., Path], capsys: Capture
) -> None:
    client("codex")
    port = serve({"/": {}})
    assert launch(settings, port, "codex") == 2
    assert f"another program answers on port {port}" in capsys.readouterr().err


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_server_is_started_for_the_client_and_ends_with_it(
    settings: Settings, client: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    made, noted, port = make_checkpoint("tiny", settings=settings).path, client("codex"), free_port()
    monkeypatch.setenv("OSSIA_HOME", str(settings.data_dir.parent))
    words = ["launch", "-m", str(made), "--threads", "1", "--port", str(port), "codex", "hello"]
    assert execute(words, App(settings)) == 7, (settings.data_dir / "launch" / "server.log").read_text()
    assert json.loads(noted.read_text())[0] == ["hello"]
    config = tomllib.loads((settings.data_dir / "launch" / "codex" / "config.toml").read_text())
    assert config["model_context_window"] > 0
    assert f"starting a server at http://127.0.0.1:{port}" in capsys.readouterr().err
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_a_server_that_does_not_start_is_an_error_with_its_last_word(
    settings: Settings, client: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    noted = client("codex")
    monkeypatch.setenv("OSSIA_HOME", str(settings.data_dir.parent))
    assert execute(["launch", "-m", "gpt-oss:20b", "--port", str(free_port()), "codex"], App(settings)) == 6
    told = capsys.readouterr().err
    assert "the server did not start" in told
    assert "ossia pull" in told
    assert not noted.exists()


def test_a_client_that_is_not_installed_is_named_with_its_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert launch(settings, 1, "opencode") == 2
    assert "npm install -g opencode-ai" in capsys.readouterr().err
    assert not (settings.data_dir / "launch").exists()


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_print_writes_and_starts_nothing(settings: Settings, name: str, capsys: Capture) -> None:
    assert launch(settings, 1, "--print", "--key", "sk-secret", name, "two words") == 0
    told = capsys.readouterr().out
    assert told.splitlines()[-1] == f"{name} 'two words'"
    assert str(settings.data_dir / "launch" / name) in told
    assert "sk-secret" not in told
    assert not (settings.data_dir / "launch").exists()


def test_korean_is_spoken(settings: Settings, capsys: Capture) -> None:
    assert launch(replace(settings, lang="ko"), 1, "--print", "codex") == 0
    assert "config.toml 파일" in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_every_file_and_folder_of_a_plan_lies_in_the_folder_it_was_given(name: str, tmp_path: Path) -> None:
    made = plan(name, tmp_path)
    assert made.files
    assert all(path.is_relative_to(tmp_path) for path in made.files)
    assert any(str(tmp_path) in value for value in made.env.values())


@pytest.mark.parametrize("name", sorted(CLIENTS))
def test_an_unknown_context_is_left_to_the_client(name: str, tmp_path: Path) -> None:
    (text,) = plan(name, tmp_path, context=None).files.values()
    assert "65536" not in text
    assert "context" not in text.casefold()


def test_codex_keeps_the_folders_it_was_told_to_trust(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('model = "old"\n[projects."/home/한 글/a\\"b"]\ntrust_level = "trusted"\nx = 1\n')
    config = tomllib.loads(plan("codex", tmp_path).files[file])
    assert config["model"] == MODEL
    assert config["projects"] == {'/home/한 글/a"b': {"trust_level": "trusted"}}


@pytest.mark.parametrize("text", ["model = ", 'projects = "none"', "[projects]\na = 1"])
def test_a_broken_configuration_of_codex_is_written_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert "projects" not in tomllib.loads(plan("codex", tmp_path).files[file])


def test_qwen_keeps_what_the_user_set_in_it(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"ui": {"theme": "dark"}, "model": {"name": "old", "maxSessionTurns": 5}}))
    settings = json.loads(plan("qwen", tmp_path).files[file])
    assert settings["ui"] == {"theme": "dark"}
    assert settings["model"]["name"] == MODEL
    assert settings["model"]["maxSessionTurns"] == 5


def test_opencode_is_given_this_model_alone(tmp_path: Path) -> None:
    made = plan("opencode", tmp_path, key="sk-secret")
    config = json.loads(made.files[Path(made.env["OPENCODE_CONFIG"])])
    assert config["enabled_providers"] == ["ossia"]
    assert config["model"] == config["small_model"] == f"ossia/{MODEL}"
    assert config["provider"]["ossia"]["models"][MODEL]["limit"] == {"context": 65_536, "output": 32_768}
    (name,) = made.secret
    assert config["provider"]["ossia"]["options"]["apiKey"] == f"{{env:{name}}}"
