"""Codex, the real one, against the real server: it calls its tools, answers, and says what went wrong."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest
from agents import Agent
from fake_vllm import FakeVllm
from puppet import Puppet, call, final, running, service_of
from tap import Tap

pytestmark = pytest.mark.outside
THOUGHT = "I look with the shell."
SHELL = ["codex", "exec", "--skip-git-repo-check"]
OLLAMA_PORT = 11434


def following(*turns: str) -> Callable[[str], str]:
    """A model that says one turn after another: as many as there are tool results behind the question."""
    return lambda prompt: turns[min(prompt.count(" to=assistant<|channel|>commentary"), len(turns) - 1)]


def shell(command: str) -> str:
    return call("functions.exec_command", {"cmd": command}, THOUGHT)


def outputs(tap: Tap) -> list[dict[str, str]]:
    """What Codex answered to the calls it got, in its last request."""
    return [item for item in tap.exchanges[-1].body["input"] if item["type"].endswith("_call_output")]


def test_it_calls_its_shell_and_answers(agent: Agent) -> None:
    puppet = Puppet(following(shell("echo made-by-$((40 + 2))"), final("The shell says 42.", "Done.")))
    tap = Tap()
    with running(service_of(puppet), wrap=tap) as url:
        done = agent.launch(url, *SHELL, "What does the shell say?")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "The shell says 42."
    assert "made-by-42" in puppet.prompt_text()
    assert (
        f"<|channel|>analysis<|message|>{THOUGHT}<|end|>" in puppet.prompt_text()
    )  # its reasoning came back
    assert len(tap.exchanges) == 2
    computed = [e.response["usage"]["input_tokens"] for e in tap.exchanges]
    cached = tap.exchanges[1].response["usage"]["input_tokens_details"]["cached_tokens"]
    assert cached >= computed[0]  # the second prompt goes on where the first ended


def test_it_leaves_the_users_own_folder_alone(agent: Agent) -> None:
    own = agent.room / "home" / ".codex"
    own.mkdir(parents=True)
    (own / "config.toml").write_text('model = "mine"\n')
    with running(service_of(Puppet(following(final("Hello."))))) as url:
        done = agent.launch(url, *SHELL, "Hello?")
    assert done.stdout.strip() == "Hello."
    assert [p.name for p in own.iterdir()] == ["config.toml"]
    assert (own / "config.toml").read_text() == 'model = "mine"\n'


def test_its_own_kinds_of_tools_come_back_as_it_declared_them(agent: Agent) -> None:
    patch = "*** Begin Patch\n*** Add File: made.txt\n+by codex\n*** End Patch\n"
    turns = (
        call("functions.apply_patch", patch, THOUGHT),
        call("multi_agent_v1.close_agent", {"target": "nobody"}, THOUGHT),
        final("Patched."),
    )
    catalogue = agent.room / "models.json"
    catalogue.write_text(json.dumps({"models": [MODEL]}))
    tap = Tap()
    with running(service_of(Puppet(following(*turns))), wrap=tap) as url:
        settings = [f"model_catalog_json={json.dumps(str(catalogue))}", "agents.enabled=true"]
        options = [word for setting in settings for word in ("-c", setting)]
        done = agent.launch(url, *SHELL, "-s", "workspace-write", *options, "Patch it.")
    assert done.stdout.strip() == "Patched.", done.stderr[-3000:]
    assert (agent.work / "made.txt").read_text() == "by codex\n"
    patched, closed = outputs(tap)
    assert patched["type"] == "custom_tool_call_output"
    assert "Success" in patched["output"]
    assert closed["type"] == "function_call_output"
    assert "invalid agent id nobody" in closed["output"]  # it reached the tool, which has no such agent


def test_an_overflow_is_told_as_one_and_not_tried_again(agent: Agent) -> None:
    tap = Tap()
    with running(service_of(Puppet(following(final("Hello.")), context_length=1000)), wrap=tap) as url:
        done = agent.launch(url, *SHELL, "Hello?")
    assert done.returncode == 1
    assert "ran out of room in the model's context window" in done.stderr
    (exchange,) = tap.exchanges
    answer = exchange.answer.decode()
    assert "context_length_exceeded" in answer
    assert "1000" in answer


@contextmanager
def served(port: int, upstream: str, room: Path) -> Iterator[None]:
    """``ossia serve`` as it is typed, its tokens from `upstream`."""
    command = [sys.executable, "-m", "ossia", "serve", "--port", str(port), "--backend", "vllm"]
    with subprocess.Popen(
        [*command, "--url", upstream, "--log-level", "off"],
        env={**os.environ, "OSSIA_HOME": str(room / "served")},
    ) as server:
        try:
            while True:
                assert server.poll() is None, "the server did not start"
                with suppress(httpx2.TransportError):
                    if httpx2.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                        break
                time.sleep(0.05)
            yield
        finally:
            server.terminate()


def test_oss_runs_unmodified_on_ollamas_port(agent: Agent) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", OLLAMA_PORT)) == 0:
            pytest.skip("something runs on Ollama's port")
    says = following(shell("echo from-$((40 + 2))"), final("It said 42."))
    puppet = Puppet(says)  # for its tokenizer: the words come from a server of its own, as vLLM's would
    tok = puppet.tok
    with (
        FakeVllm(lambda ids: puppet.ids(says(tok.decode(ids))), models=["openai/gpt-oss-20b"]) as fake,
        served(OLLAMA_PORT, fake.url, agent.room),
    ):
        done = agent.run([*SHELL, "--oss", "--local-provider", "ollama", "What does it say?"])
        assert done.stdout.strip() == "It said 42.", done.stderr[-3000:]
        assert "Pulling" not in done.stdout + done.stderr
        assert "from-42" in tok.decode(fake.bodies[-1]["prompt"])


MODEL = {
    "slug": "openai/gpt-oss-20b",
    "display_name": "gpt-oss-20b",
    "supported_reasoning_levels": [{"effort": "medium", "description": "medium"}],
    "default_reasoning_level": "medium",
    "shell_type": "unified_exec",
    "visibility": "list",
    "supported_in_api": True,
    "priority": 1,
    "base_instructions": "Work in this folder.",
    "apply_patch_tool_type": "freeform",
    "context_window": 131_072,
    "truncation_policy": {"mode": "tokens", "limit": 10_000},
    "supports_parallel_tool_calls": False,
    "experimental_supported_tools": [],
    "supports_reasoning_summaries": True,
    "support_verbosity": False,
    "input_modalities": ["text"],
}
"""An entry of Codex's catalogue, with which it declares apply_patch as a custom tool under a grammar."""
