"""What the hub's tests share: private folders, and a Hugging Face Hub of this process on 127.0.0.1."""

import hashlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import close_session

from ossia.hub import remote
from ossia.settings import Settings, load_settings

sys.path.insert(0, str(Path(__file__).parents[1] / "backends" / "vllm"))  # the fake server

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def _load_tiny() -> ModuleType:
    spec = spec_from_file_location("tiny_checkpoint", Path(__file__).with_name("tiny.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_tiny = _load_tiny()


@pytest.fixture
def write_checkpoint() -> Callable[..., Path]:
    """`write_checkpoint(folder, shards=1, **config_changes)` of tiny.py."""
    return _tiny.write_checkpoint


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose every folder lies under `tmp_path`."""
    env = {
        "OSSIA_HOME": str(tmp_path / "ossia"),
        "HF_HOME": str(tmp_path / "hf"),
        "OLLAMA_MODELS": str(tmp_path / "ollama"),
    }
    return replace(load_settings(env), lmstudio_home=tmp_path / "lmstudio")


@dataclass
class FakeHub:
    """The few endpoints of the Hub that pulling uses, and the ways in which it can misbehave."""

    files: dict[str, bytes] = field(default_factory=dict)
    repo: str = "openai/gpt-oss-20b"
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)  # method, path, Range
    cut_after: dict[str, int] = field(default_factory=dict)  # file: bytes a connection carries
    cuts: int = 1  # how many connections are cut
    wrong_bytes: set[str] = field(default_factory=set)
    refuse: tuple[int, str] | None = None  # status, X-Error-Code
    busy: int = 0  # how many file requests are answered 503 first
    ignore_range: bool = False
    page: bytes = b""  # what the listing's address answers instead
    url: str = ""
    agents: set[str] = field(default_factory=set)  # User-Agent headers seen

    def digest(self, name: str) -> str:
        """The name a file has in the cache: SHA-256 for large (LFS) ones, else git's blob SHA-1."""
        data = self.files[name]
        if name.endswith(".safetensors"):
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def listing(self) -> bytes:
        siblings = []
        for name, data in self.files.items():
            entry = {"rfilename": name, "size": len(data), "blobId": self.digest(name)}
            if name.endswith(".safetensors"):
                entry["lfs"] = {"size": len(data), "sha256": self.digest(name), "pointerSize": 134}
            siblings.append(entry)
        return json.dumps({"id": self.repo, "sha": COMMIT, "siblings": siblings}).encode()

    def fetched(self, name: str) -> list[str | None]:
        """The Range headers of the GET requests for `name`, in order."""
        return [
            ranged for method, path, ranged in self.requests if method == "GET" and path.endswith("/" + name)
        ]


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.agents.add(self.headers.get("User-Agent", ""))
            hub.requests.append((self.command, path, self.headers.get("Range")))
            if hub.refuse:
                self._head(hub.refuse[0], 0, {"X-Error-Code": hub.refuse[1]} if hub.refuse[1] else {})
            elif path.startswith(f"/api/models/{hub.repo}"):
                listing = hub.page or hub.listing()
                self._head(200, len(listing), {"Content-Type": "application/json"})
                self.wfile.write(listing)
            elif path.startswith(f"/{hub.repo}/resolve/{COMMIT}/"):
                self._file(path.rsplit("/", 1)[-1], body)
            else:
                self._head(404, 0, {"X-Error-Code": "RepoNotFound"})

        def _file(self, name: str, body: bool) -> None:
            if body and hub.busy:
                hub.busy -= 1
                self._head(503, 0, {})
                return
            data = hub.files[name]
            if name in hub.wrong_bytes:
                data = data[:-1] + bytes([data[-1] ^ 1])
            begin = 0
            if (ranged := self.headers.get("Range")) and not hub.ignore_range:
                begin = int(ranged.removeprefix("bytes=").rstrip("-"))
            headers = {"ETag": f'"{hub.digest(name)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            if begin:
                headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self._head(206 if begin else 200, len(data) - begin, headers)
            if not body:
                return
            rest = data[begin:]
            if name in hub.cut_after and hub.cuts > 0:
                hub.cuts -= 1
                self.wfile.write(rest[: hub.cut_after[name]])
                self.close_connection = True
                return
            self.wfile.write(rest)

        def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(length))
            self.end_headers()

    return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A fake Hub holding a small two-shard gpt-oss repository; waits between retries are taken away."""
    shard = bytes(range(256)) * 1200
    fake = FakeHub(
        {
            "config.json": b'{"model_type": "gpt_oss"}',
            "generation_config.json": b"{}",
            "tokenizer.json": b'{"model": {}}',
            "model.safetensors.index.json": json.dumps(
                {
                    "weight_map": {
                        "a": "model-00000-of-00001.safetensors",
                        "b": "model-00001-of-00001.safetensors",
                    }
                }
            ).encode(),
            "model-00000-of-00001.safetensors": shard,
            "model-00001-of-00001.safetensors": shard[::-1],
            "original/model.safetensors": b"not wanted",
            "metal/model.bin": b"not wanted either",
            "README.md": b"nor this",
        }
    )
    monkeypatch.setattr(remote, "RETRY_WAIT_S", 0.0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    close_session()
    yield fake
    close_session()
    server.shutdown()
    thread.join()
    server.server_close()
