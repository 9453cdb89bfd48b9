"""How a coding agent of npm is run here: in an empty folder, at home in another, through `ossia launch`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Agent:
    """Runs programs of the npm packages; `room` is empty but for the folders it makes."""

    room: Path
    path: Sequence[Path]

    @property
    def work(self) -> Path:
        """The folder the agent works in."""
        return self.room / "work"

    def launch(self, url: str, *words: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """``ossia launch WORDS`` on the server at `url`."""
        port = str(urlsplit(url).port)
        command = [sys.executable, "-m", "ossia", "launch", "-m", "gpt-oss:20b", "--port", port, *words]
        return self.run(command, seconds=seconds)

    def run(
        self, command: Sequence[str], seconds: float = 120, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run `command` in the work folder, with a home of its own and nothing of this machine's settings."""
        home = self.room / "home"
        self.work.mkdir(exist_ok=True)
        home.mkdir(exist_ok=True)
        env = {
            "PATH": os.pathsep.join([*map(str, self.path), os.environ["PATH"]]),
            "HOME": str(home),
            "OSSIA_HOME": str(self.room / "ossia"),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            **variables,
        }
        return subprocess.run(
            command,
            cwd=self.work,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
