"""A server that is killed while it answers has lost nothing that anybody was told of."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from puppet import NAME, Puppet

DOOMED = Path(__file__).with_name("doomed.py")
CLIENTS = 6
ENOUGH = 11  # the server is killed with others under way


@contextlib.contextmanager
def doomed(folder: Path) -> Iterator[str]:
    """A server in a process of its own, killed at the end."""
    process = subprocess.Popen([sys.executable, str(DOOMED), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()
            process.wait()


def keep_asking(url: str, begun: set[str], completed: dict[str, dict]) -> None:
    """Ask until the server is gone; keep what it said had begun, and what it said was complete."""
    body = {"model": NAME, "input": "Go on.", "stream": True}
    with contextlib.suppress(httpx2.HTTPError), httpx2.Client(timeout=10) as client:
        while True:
            with client.stream("POST", f"{url}/v1/responses", json=body) as told:
                for line in told.iter_lines():
                    event = json.loads(line[6:]) if line.startswith("data: {") else {"type": ""}
                    if event["type"] == "response.created":
                        begun.add(event["response"]["id"])
                    if event["type"] == "response.completed":
                        completed[event["response"]["id"]] = event["response"]


def test_every_response_that_was_completed_is_there_after_a_kill(tmp_path, serving):
    begun: set[str] = set()
    completed: dict[str, dict] = {}
    with doomed(tmp_path) as url:
        asking = [threading.Thread(target=keep_asking, args=(url, begun, completed)) for _ in range(CLIENTS)]
        for thread in asking:
            thread.start()
        deadline = time.monotonic() + 20
        while len(completed) < ENOUGH and time.monotonic() < deadline:
            time.sleep(0.001)
    for thread in asking:
        thread.join(20)
    assert len(completed) >= ENOUGH
    with serving(Puppet(lambda _: "")) as client:
        for id, response in completed.items():
            assert client.get(f"/responses/{id}").json() == response
        for id in begun - completed.keys():
            found = client.get(f"/responses/{id}").json()
            assert found["status"] in ("failed", "completed")  # complete, and killed before it was told
