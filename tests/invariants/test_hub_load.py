"""From a folder of files to an answer: `ossia.load` on a tiny checkpoint, compared with the mathematics.

Loading never opens a connection, and neither it nor a conversation writes a file.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

import ossia
from ossia.agent.events import Finished
from ossia.hub.default import remember
from ossia.hub.sources import locate
from ossia.model.checkpoint import open_checkpoint
from ossia.model.reference import reference_forward
from ossia.model.sampling import SamplingParams
from ossia.settings import Settings, load_settings

TINY = Path(__file__).parents[1] / "unit" / "hub" / "tiny.py"


def _write_checkpoint() -> Callable[..., Path]:
    spec = spec_from_file_location("tiny_checkpoint_of_invariants", TINY)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_checkpoint


write_checkpoint = _write_checkpoint()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    env = {
        "OSSIA_HOME": str(tmp_path / "ossia"),
        "HF_HOME": str(tmp_path / "hf"),
        "OLLAMA_MODELS": str(tmp_path),
    }
    return replace(load_settings(env), lmstudio_home=tmp_path / "lmstudio", threads=1)


@pytest.fixture
def folder(settings: Settings) -> Path:
    return write_checkpoint(settings.data_dir / "models" / "mine", shards=3)


@pytest.fixture
def model(settings: Settings, folder: Path) -> Iterator[ossia.Model]:
    with ossia.load("mine", numerics="f32", settings=settings) as loaded:
        yield loaded


def generate(model: ossia.Model, prompt: list[int], **params: object) -> list[int]:
    async def collect() -> list[int]:
        return [token.id async for token in model.backend.generate(prompt, SamplingParams(**params))]

    return asyncio.run(collect())


def test_what_is_loaded_computes_what_the_files_say(model: ossia.Model, folder: Path) -> None:
    prompt = model.tok.encode("Longer than the window of sixteen tokens, so that it matters.")
    assert len(prompt) > 3 * 16
    got = generate(model, prompt, temperature=0.0, max_tokens=24)
    checkpoint = open_checkpoint(folder)
    logits = reference_forward(checkpoint, [*prompt, *got[:-1]]).logits[len(prompt) - 1 :]
    ranked = np.sort(logits, axis=1)
    assert float((ranked[:, -1] - ranked[:, -2]).min()) > 1e-4, "a tie would make this test say nothing"
    assert got == logits.argmax(axis=1).tolist()


def test_an_answer_is_made_of_events_and_reproducible(model: ossia.Model) -> None:
    def answer() -> Finished:
        *_, last = model.chat(max_tokens=40, seed=5).stream("Hello there")
        assert isinstance(last, Finished)
        return last

    first, second = answer(), answer()
    assert first.usage.output_tokens == second.usage.output_tokens > 0
    assert first.conversation.messages[1:] == second.conversation.messages[1:]
    assert second.usage.cached_tokens > 0  # the same prompt, in the prefix cache
    assert model.card.name == "mine"
    assert model.card.context_length == model.backend.context_length == 4096


def test_numerics_threads_and_sizes_reach_the_engine(settings: Settings, folder: Path) -> None:
    answers = {}
    for numerics, threads in (("q8", 1), ("q8", 2), ("bf16", 1)):
        with ossia.load(
            "mine", numerics=numerics, threads=threads, max_context=640, settings=settings
        ) as model:
            assert model.backend.context_length == 640
            answers[numerics, threads] = generate(model, [60, 61, 62], temperature=1.0, seed=3, max_tokens=40)
    assert answers["q8", 1] == answers["q8", 2]
    assert answers["q8", 1] != answers["bf16", 1]


def test_progress_of_loading_ends_at_the_size_of_the_tensors(settings: Settings, folder: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    ossia.load("mine", settings=settings, progress=lambda *step: seen.append(step)).close()
    size = open_checkpoint(folder).size_bytes
    assert seen[-1] == ("loading mine", size, size)
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})


def test_without_a_name_the_last_chosen_is_loaded(settings: Settings, folder: Path) -> None:
    assert remember(locate("mine", settings), settings)
    with ossia.load(settings=settings) as model:
        assert model.card.name == "mine"


def test_neither_loading_nor_talking_writes_a_file(settings: Settings, folder: Path, tmp_path: Path) -> None:
    def tree() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")}

    before = tree()
    with ossia.load("mine", settings=settings) as model:
        model.chat(max_tokens=10).send("Private words")
    assert tree() == before


OFFLINE = """
import sys
connections = []
def watch(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        connections.append((event, args))
sys.addaudithook(watch)
import ossia
with ossia.load("openai/gpt-oss-20b", threads=1) as model:
    reply = model.chat(max_tokens=8).send("hello")
assert not connections, connections
for name in ("huggingface_hub", "httpx2", "requests", "gguf", "torch", "transformers"):
    assert name not in sys.modules, name
print("answered by", model.card.name)
"""


def test_loading_from_the_shared_cache_opens_no_connection(tmp_path: Path) -> None:
    snapshot = tmp_path / "hf" / "hub" / "models--openai--gpt-oss-20b" / "snapshots" / ("c" * 40)
    write_checkpoint(snapshot)
    env = os.environ | {"OSSIA_HOME": str(tmp_path / "ossia"), "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], env=env, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "answered by openai/gpt-oss-20b\n"), done.stderr


@pytest.mark.parametrize(
    ("setting", "option", "on"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_speculation_is_the_options_or_else_the_settings(settings, folder, setting, option, on):
    chosen = replace(settings, speculation=setting)
    with ossia.load("mine", settings=chosen, speculation=option) as model:
        assert (model.backend._engine._speculation is not None) is on


@pytest.mark.parametrize(
    ("setting", "option", "on"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_the_head_is_screened_as_the_option_says_or_else_the_settings(
    settings, folder, setting, option, on, monkeypatch
):
    monkeypatch.setattr("ossia.model.weights.most_screened", lambda vocab, width: 4)  # however small
    chosen = replace(settings, screened_head=setting)
    with ossia.load("mine", settings=chosen, screened_head=option) as model:
        assert model.backend._engine._model.head.weight.kind == ("q8_planes" if on else "q8")
