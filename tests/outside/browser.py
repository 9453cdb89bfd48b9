"""A headless Chromium, driven over its DevTools protocol: what a person at the page would do and see."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from websockets.sync.client import ClientConnection, connect


class Tab:
    """One page. Raises AssertionError where a script fails, or what is waited for does not come."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self.problems: list[str] = []

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; returns its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, script: str, seconds: float = 20) -> None:
        """Wait for an expression to become true."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.run(f"Boolean({script})"):
                return
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {script}; {self.run('document.body.innerText')}")

    def open(self, url: str, *, language: str = "en-US", width: int = 1000, dark: bool = False) -> None:
        """Go to `url`, as a browser of that language and width."""
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")
        agent = self.run("navigator.userAgent")
        self.send("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage=language)
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && document.querySelector('#send').textContent")

    def type(self, text: str) -> None:
        """Write into what has the focus."""
        self.send("Input.insertText", text=text)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key."""
        codes = {"Enter": 13, "Escape": 27}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 8 * shift}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, path: Path) -> None:
        """What is seen, as a PNG file."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))

    def _note(self, message: dict[str, Any]) -> None:
        """Scripts' errors, and what the page's policy forbade."""
        if message.get("method") == "Runtime.exceptionThrown":
            self.problems.append(json.dumps(message["params"]))
        entry = message.get("params", {}).get("entry", {})
        if entry.get("source") in ("security", "javascript") or "Content Security" in entry.get("text", ""):
            self.problems.append(entry["text"])


@contextmanager
def browser(room: Path) -> Generator[Tab]:
    """A fresh browser with one tab; its profile is kept in `room`."""
    assert shutil.which("chromium"), "Chromium is missing: Debian's package is called chromium"
    command = [
        "chromium",
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        f"--user-data-dir={room}",
        "about:blank",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = _port(room / "DevToolsActivePort", process)
        tabs = httpx2.get(f"http://127.0.0.1:{port}/json/list").json()
        address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
        with connect(address, max_size=64 << 20, proxy=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait(20)


def _port(told: Path, process: "subprocess.Popen[bytes]") -> int:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, "the browser did not start"
        if told.exists() and (lines := told.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.1)
    raise AssertionError("the browser did not open its port")
