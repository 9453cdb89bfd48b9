"""Both vocabularies, and answers of a model written as Harmony text."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ossia.agent.card import ModelCard, opening
from ossia.agent.events import Event, Finished
from ossia.agent.loop import run
from ossia.backends.scripted import ScriptedBackend
from ossia.harmony.messages import Conversation, user
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"


@pytest.fixture(scope="session", params=["o200k", "tiny"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return load_o200k_harmony() if request.param == "o200k" else load_checkpoint_tokenizer(TINY)


@pytest.fixture(scope="session")
def ids(tok: Tokenizer) -> Callable[[str], list[int]]:
    """Ids of Harmony text, its control tokens by id and what lies between as text."""

    def encode(text: str) -> list[int]:
        parts = re.split(r"(<\|[a-z]+\|>)", text)
        return [
            i for p in parts for i in ([tok.special_tokens[p]] if p in tok.special_tokens else tok.encode(p))
        ]

    return encode


class Agent:
    """Runs the loop over scripted answers; remembers the backend it used."""

    def __init__(self, tok: Tokenizer, ids: Callable[[str], list[int]]) -> None:
        self.tok = tok
        self.ids = ids
        self.card = ModelCard("test", identity="You are a test.", knowledge_cutoff=None)
        self.backend = ScriptedBackend([])

    def conversation(self, text: str = "Hi", **options: Any) -> Conversation:
        return Conversation((*opening(self.card, today=date(2026, 1, 2), **options), user(text)))

    def script(self, *answers: str | Sequence[int], context_length: int = 8192) -> ScriptedBackend:
        encoded = [self.ids(a) if isinstance(a, str) else a for a in answers]
        self.backend = ScriptedBackend(encoded, context_length)
        return self.backend

    def run(
        self,
        *answers: str | Sequence[int],
        conversation: Conversation | None = None,
        context_length: int = 8192,
        **options: Any,
    ) -> list[Event]:
        backend = self.script(*answers, context_length=context_length)
        tools = options.get("tools", ())
        conversation = conversation or self.conversation(tools=tools)

        async def collect() -> list[Event]:
            return [event async for event in run(backend, self.tok, conversation, **options)]

        return asyncio.run(collect())

    @staticmethod
    def finished(events: list[Event]) -> Finished:
        assert isinstance(events[-1], Finished)
        assert sum(isinstance(e, Finished) for e in events) == 1
        return events[-1]


@pytest.fixture
def agent(tok: Tokenizer, ids: Callable[[str], list[int]]) -> Agent:
    return Agent(tok, ids)
