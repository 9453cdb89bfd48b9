"""What the tests with real clients share: npm's packages, and the server's puppet.

`make test-clients` installs the packages and runs these.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NODE = Path(__file__).parent / "node"
UNIT = Path(__file__).parents[1] / "unit"
sys.path[:0] = [str(Path(__file__).parent), str(UNIT / "server"), str(UNIT / "backends" / "vllm")]


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder of the installed npm packages."""
    modules = NODE / "node_modules"
    assert modules.is_dir(), "the npm packages are missing: run `make test-clients`"
    return modules


@pytest.fixture(scope="session")
def node(npm: Path) -> Callable[..., Any]:
    """node(script, *arguments): run a script of `node/` and return the JSON it printed."""

    def run(script: str, *arguments: str) -> Any:
        done = subprocess.run(
            ["node", str(NODE / script), *arguments],
            cwd=NODE,
            env={**os.environ, "AI_SDK_LOG_WARNINGS": "false", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run


@pytest.fixture
def agent(npm: Path, tmp_path: Path) -> Any:
    """Runs coding agents, each under the name its package gives it; see `agents.Agent`."""
    from agents import Agent

    binaries = tmp_path / "bin"
    binaries.mkdir()
    # opencode's own launcher is put in place by a script at installation, which npm does not run unasked.
    (binaries / "opencode").symlink_to(min(npm.glob("opencode-*/bin/opencode")))
    return Agent(tmp_path, [binaries, npm / ".bin"])
