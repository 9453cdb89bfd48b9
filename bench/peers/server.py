"""A peer's server (llama.cpp or ik_llama.cpp), started, asked and measured over HTTP.

Prompts are token ids and answers are of fixed length: greedy, the end token ignored, its prompt cache off
unless asked for. Times of one request are the server's own, so that HTTP costs it nothing; of several
streams, the arrival of the tokens is timed.
"""

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ossia.bench.run import joint_rate

PORT = 18478
READY_WITHIN_S = 300
ANSWER_WITHIN_S = 1800
ATTEMPTS = 5


@dataclass(frozen=True)
class Peer:
    """A running server. `ready_s`: from its start until it answered that it is well."""

    process: "subprocess.Popen[bytes]"
    ready_s: float

    def complete(self, prompt: list[int], count: int, *, cached: bool = False) -> dict[str, float]:
        """The server's own timings of one request; `cached` lets it use what it knows of the prompt."""
        timings = self._follow(prompt, count, cached)[1]
        if not cached and timings["prompt_n"] != len(prompt):
            raise SystemExit(
                f"of {len(prompt)} tokens the server read {timings['prompt_n']:.0f}: its context?"
            )
        return timings

    def _follow(self, prompt: list[int], count: int, cached: bool = False) -> tuple[list[float], Any]:
        """When each token of one request arrived, and the timings that come last.

        Streamed, for random ids need not be text: one of the servers fails to write such an answer as a
        whole. Where it fails even so, it is asked again.
        """
        body = request_body(prompt, count) | {"cache_prompt": cached, "id_slot": 0 if cached else -1}
        for _ in range(ATTEMPTS):
            arrived: list[float] = []
            with post("/completion", body) as answer:
                for line in answer:
                    event = event_of(line)
                    if "timings" in event:
                        return arrived, event["timings"]
                    if "content" in event:
                        arrived.append(time.perf_counter())
        raise SystemExit(f"{ATTEMPTS} answers of the server ended before their time")

    def rate(self, prompts: list[list[int]], steps: int) -> float:
        """Tokens per second of all prompts together, over about `steps` steps."""
        if len(prompts) == 1:
            return self.complete(prompts[0], steps + 1)["predicted_per_second"]
        with ThreadPoolExecutor(len(prompts)) as pool:
            return joint_rate(list(pool.map(lambda prompt: self._follow(prompt, steps + 1)[0], prompts)))

    @property
    def peak_rss_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    @property
    def cpu_s(self) -> float:
        """Processor time it has taken so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def event_of(line: bytes) -> dict[str, Any]:
    """What a line of the stream says; nothing for those between the events."""
    return json.loads(line[5:]) if line.startswith(b"data: {") else {}


def request_body(prompt: list[int], count: int) -> dict[str, Any]:
    return {"prompt": prompt, "n_predict": count, "temperature": 0, "ignore_eos": True, "stream": True}


def post(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S)


@contextmanager
def running(server: Path, gguf: Path, threads: int, more: str = "") -> Iterator[Peer]:
    """Start `server` on this machine only, with further command-line options in `more`."""
    command = [
        str(server.resolve()),
        "-m",
        str(gguf.resolve()),
        "-t",
        str(threads),
        "--host",
        "127.0.0.1",
        "--port",
        str(PORT),
    ]
    require_free_port()
    started = time.perf_counter()
    nowhere: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        TemporaryDirectory() as here,  # one of them leaves its log where it was started
        subprocess.Popen([*command, *more.split()], cwd=here, **nowhere) as process,
    ):
        try:
            wait_ready(process)
            yield Peer(process, time.perf_counter() - started)
        finally:
            process.terminate()


def require_free_port() -> None:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5)
    except urllib.error.HTTPError:
        pass
    except OSError:
        return
    raise SystemExit(f"something already answers at port {PORT}; it would be measured instead")


def wait_ready(process: "subprocess.Popen[bytes]") -> None:
    """Return when it answers that it is well; while it loads it answers otherwise, late or not at all."""
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"the server did not become ready within {READY_WITHIN_S} s")
