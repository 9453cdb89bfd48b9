"""The whole line on the real pocket model: the README's example, a calculation from the shell, and its bits.

Needs pocket on this computer (`make test` sees to that).
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ossia.cli.main import execute
from ossia.errors import ModelNotFoundError
from ossia.hub.sources import locate
from ossia.settings import load_settings

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")

WATCHED = """
import os, sys
touched = []

def watch(event, args):
    if event == "open":
        path, mode, flags = args
        writes = set(mode or "") & set("wax+") or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes and not str(path).startswith("/dev/"):
            touched.append(f"{path} {mode} {flags}")
    elif event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto"):
        touched.append(event)

sys.addaudithook(watch)
from ossia.cli.main import execute
code = execute(sys.argv[1:])
print(code, touched)
"""


@pytest.fixture(scope="module", autouse=True)
def pocket() -> None:
    try:
        locate("pocket", load_settings())
    except ModelNotFoundError:
        pytest.skip("pocket is not on this computer: make setup fetches it")


def test_the_readme_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    scope: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), scope)
    assert scope["reply"].finish_reason == "stop"
    assert scope["reply"].text
    assert scope["reply"].text in capsys.readouterr().out


def run_json(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    assert execute(["-m", "pocket", *argv]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_reasons_calls_the_calculator_and_answers(capsys: pytest.CaptureFixture[str]) -> None:
    question = "What is 12345 minus 678?"
    events = run_json(capsys, "run", "--json", "--temperature", "0", "--effort", "low", question)
    kinds = [event["type"] for event in events]
    order = ["reasoning.delta", "call.ready", "result.ready", "text.delta", "finished"]
    firsts = [kinds.index(kind) for kind in order]
    assert firsts == sorted(firsts)
    (result,) = [event for event in events if event["type"] == "result.ready"]
    assert (result["name"], result["text"]) == ("functions.calculator", "11667")
    assert "11667" in "".join(event["text"] for event in events if event["type"] == "text.delta")


def test_threads_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = (
        run_json(capsys, "--threads", count, "run", "--json", "--temperature", "0", "Name three colours.")
        for count in ("1", "2")
    )
    assert one[:-1] == two[:-1]  # the last one, "finished", has seconds


@pytest.mark.parametrize("argv", [["run", "--max-tokens", "8"], ["chat", "--temperature", "0"]])
def test_answering_writes_no_file_and_opens_no_connection(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", WATCHED, *argv],
        env={**os.environ, "OSSIA_MODEL": "pocket"},
        input="Hello\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1].endswith(" []"), done.stdout
