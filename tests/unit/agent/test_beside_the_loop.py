"""A long prompt is rendered beside the event loop, so that other answers go on meanwhile."""

import asyncio
import threading
from typing import Any

from ossia.agent.loop import run
from ossia.harmony.incremental import Rendering

ASKED = "How long is this?"
FINAL = "<|channel|>final<|message|>It is 42.<|return|>"


class Watched:
    """A tokenizer that remembers which threads encoded what was asked."""

    def __init__(self, tok: Any) -> None:
        self._tok = tok
        self.threads: set[int] = set()

    def encode(self, text: str) -> list[int]:
        if text == ASKED:
            self.threads.add(threading.get_ident())
        return self._tok.encode(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tok, name)


def threads_of(agent: Any, *, keep: bool) -> set[int]:
    tok = Watched(agent.tok)
    rendering = Rendering(tok) if keep else None

    async def answer() -> None:
        async for _ in run(agent.script(FINAL), tok, agent.conversation(ASKED), rendering=rendering):
            pass

    asyncio.run(answer())
    return tok.threads


def test_a_prompt_is_rendered_in_another_thread(agent: Any) -> None:
    threads = threads_of(agent, keep=False)
    assert threads
    assert threading.get_ident() not in threads


def test_a_rendering_that_is_kept_stays_in_its_thread(agent: Any) -> None:
    assert threads_of(agent, keep=True) == {threading.get_ident()}
