"""`ossia` on a scripted model, as a program of its own: what the terminal tests start.

Requests are answered in turn: a subtraction with the calculator; thought that never ends, and, where it was
closed to have an answer, one that never ends either; a plain answer.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from conftest import SUBTRACTION, final, ids_of
from ossia.agent.model import Model, ModelCard
from ossia.backends.base import Backend, Item
from ossia.backends.scripted import ScriptedBackend
from ossia.cli.app import App
from ossia.cli.main import execute
from ossia.model.sampling import SamplingParams, Token
from ossia.settings import Settings, load_settings
from ossia.tokenizer import load_o200k_harmony

UNENDING = "<|channel|>analysis<|message|>I will think of this for ever and ever"
HURRIED = "Well then, on and on"  # in the final whose header stood in the prompt
ANSWERS = (*SUBTRACTION, UNENDING, HURRIED, final("Here \x1b[2J again."))
ENDLESS = (3, 4)  # which requests never end


class Stuck:
    """A backend that goes on repeating the last token of one answer."""

    def __init__(self, backend: ScriptedBackend) -> None:
        self._backend = backend
        self.capabilities = backend.capabilities
        self.context_length = backend.context_length

    async def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        last = None
        async for token in self._backend.generate(prompt_ids, params):
            last = token.id if isinstance(token, Token) else None
            yield token if last is None else Token(last)
        while last is not None and len(self._backend.prompts) in ENDLESS:
            await asyncio.sleep(0.05)
            yield Token(last)

    async def close(self) -> None:
        await self._backend.close()


def load(name: str | None, settings: Settings) -> Model:
    tok = load_o200k_harmony()
    backend: Backend = Stuck(ScriptedBackend([ids_of(answer, tok) for answer in ANSWERS]))
    return Model(backend, tok, ModelCard("pocket", english_only=True))


if __name__ == "__main__":
    sys.exit(execute(sys.argv[1:], App(load_settings(), load=load)))
