"""What the command line's tests share: settings in a temporary folder, and models that follow a script."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ossia.agent.model import Model, ModelCard
from ossia.backends.scripted import ScriptedBackend
from ossia.cli.app import App
from ossia.settings import Settings, load_settings
from ossia.tokenizer import Tokenizer, load_o200k_harmony

_MARKER = re.compile(r"(<\|[a-z]+\|>)")
_ASSISTANT = "<|start|>assistant"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a user who has nothing yet; every path lies under `tmp_path`."""
    env = {
        "OSSIA_HOME": str(tmp_path / "home"),
        "OSSIA_LANG": "en",
        "HF_HOME": str(tmp_path / "hf"),
        "OLLAMA_MODELS": str(tmp_path / "ollama"),
    }
    return replace(load_settings(env), lmstudio_home=tmp_path / "lmstudio")


@pytest.fixture
def app(settings: Settings) -> App:
    return App(settings)


@pytest.fixture(scope="session")
def tok() -> Tokenizer:
    return load_o200k_harmony()


def ids_of(text: str, tok: Tokenizer) -> list[int]:
    """Token ids of `text`, in which markers mean themselves."""
    ids: list[int] = []
    for part in _MARKER.split(text):
        ids += [tok.special_tokens[part]] if _MARKER.fullmatch(part) else tok.encode(part)
    return ids


def think(text: str) -> str:
    return f"<|channel|>analysis<|message|>{text}<|end|>{_ASSISTANT}"


def final(text: str) -> str:
    return f"<|channel|>final<|message|>{text}<|return|>"


def call(name: str, arguments: str) -> str:
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{arguments}<|call|>"


SUBTRACTION = (
    think("I should calculate this.") + call("calculator", '{"expression": "12345 - 678"}'),
    think("The tool says so.") + final("12345 minus 678 is 11667."),
)


@dataclass
class Scripted:
    """An App whose model follows a script, and the backend that recorded what it was asked."""

    app: App
    backend: ScriptedBackend
    tok: Tokenizer

    def prompt(self, request: int) -> str:
        return self.tok.decode(self.backend.prompts[request])


@pytest.fixture
def scripted(settings: Settings, tok: Tokenizer) -> Callable[..., Scripted]:
    """scripted(*answers, english_only=, context_length=): each answer is one sampling step."""

    def make(*answers: str, english_only: bool = True, context_length: int = 8192) -> Scripted:
        backend = ScriptedBackend([ids_of(answer, tok) for answer in answers], context_length)
        card = ModelCard("pocket", english_only=english_only, context_length=context_length)
        return Scripted(App(settings, load=lambda name, _: Model(backend, tok, card)), backend, tok)

    return make
