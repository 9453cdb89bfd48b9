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
from typing import Any

from ossia.bench.run import joint_rate

PORT = 18478
READY_WITHIN_S = 300
ANSWER_WITHIN_S = 1800


@dataclass(frozen=True)
class Peer:
    """A running server. `ready_s`: from its start until it answered that it is well."""

    process: "subprocess.Popen[bytes]"
    ready_s: float

    def complete(self, prompt: list[int], count: int, *, cached: bool = False) -> dict[str, float]:
        """The server's own timings of one request; `cached` lets it use what it knows of the prompt."""
        body = request_body(prompt, count) | {"cache_prompt": cached, "id_slot": 0 if cached else -1}
        with post("/completion", body) as answer:
            return json.load(answer)["timings"]

    def arrivals(self, prompt: list[int], count: int) -> list[float]:
        """When each token of one request arrived."""
        with post("/completion", request_body(prompt, count) | {"stream": True}) as answer:
            return [time.perf_counter() for line in answer if is_token(line)]

    def rate(self, prompts: list[list[int]], steps: int) -> float:
        """Tokens per second of all prompts together, over about `steps` steps."""
        if len(prompts) == 1:
            return self.complete(prompts[0], steps + 1)["predicted_per_second"]
        with ThreadPoolExecutor(len(prompts)) as pool:
            return joint_rate(list(pool.map(lambda prompt: self.arrivals(prompt, steps + 1), prompts)))

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


def is_token(line: bytes) -> bool:
    if not line.startswith(b"data:") or line[5:].strip() == b"[DONE]":
        return False
    return not json.loads(line[5:]).get("stop")


def request_body(prompt: list[int], count: int) -> dict[str, Any]:
    return {
        "prompt": prompt, "n_predict": count, "temperature": 0, "ignore_eos": True, "cache_prompt": False
    }  # fmt: skip


def post(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S)


@contextmanager
def running(server: Path, gguf: Path, threads: int, more: str = "") -> Iterator[Peer]:
    """Start `server` on this machine only, with further command-line options in `more`."""
    command = [str(server), "-m", str(gguf), "-t", str(threads), "--host", "127.0.0.1", "--port", str(PORT)]
    require_free_port()
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, *more.split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
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
    except (urllib.error.URLError, ConnectionError):
        return
    raise SystemExit(f"something already answers at port {PORT}; it would be measured instead")


def wait_ready(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(READY_WITHIN_S * 20):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise SystemExit(f"the server did not become ready within {READY_WITHIN_S} s")
