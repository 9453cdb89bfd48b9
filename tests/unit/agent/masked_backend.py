"""A backend that obeys masks, as the engine does: forced ids are not sampled, and only allowed ones are.

It follows a script as far as the mask lets it; elsewhere it draws at random among what is allowed, with a
liking for control tokens, so that texts come to an end.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence

import numpy as np

from ossia.backends.base import Capabilities
from ossia.model.sampling import SamplingParams, Token
from ossia.tokenizer import Tokenizer


class MaskedBackend:
    """The i-th request follows the i-th of `scripts`.

    `prompts` and `answers` record what was asked and given, `sampled` counts the ids that were chosen, not
    forced. `on_token` is called with every id before it is given.
    """

    capabilities = Capabilities(masks=True, logprobs=False, forced_ids=True, prefix_cache=False)

    def __init__(
        self, tok: Tokenizer, *scripts: Sequence[int], seed: int = 0, context_length: int = 8192
    ) -> None:
        self.context_length = context_length
        self.prompts: list[list[int]] = []
        self.answers: list[list[int]] = []
        self.params: list[SamplingParams] = []
        self.sampled = 0
        self.on_token: Callable[[int], None] = lambda _: None
        self._size = tok.vocab_size
        self._control = np.array(sorted(tok.special_tokens.values()))
        self._scripts = iter(scripts)
        self._random = random.Random(seed)

    async def generate(
        self, prompt_ids: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[Token, None]:
        self.prompts.append(list(prompt_ids))
        self.params.append(params)
        answer: list[int] = []
        self.answers.append(answer)
        script = list(next(self._scripts, ()))
        room = params.max_tokens or self.context_length - len(prompt_ids)
        while True:
            await asyncio.sleep(0)
            for token_id in self._next(params, script):
                answer.append(token_id)
                self._follow(script, token_id)
                self.on_token(token_id)
                if params.mask is not None:
                    params.mask.advance([token_id])
                if token_id in params.stop_ids:
                    yield Token(token_id, finish="stop")
                    return
                if len(answer) == room:
                    yield Token(token_id, finish="length")
                    return
                yield Token(token_id)

    async def close(self) -> None: ...

    def _next(self, params: SamplingParams, script: list[int]) -> list[int]:
        if params.mask is not None and (forced := params.mask.forced()):
            return forced
        self.sampled += 1
        allowed = np.ones(self._size + 3, np.uint8)  # logits are padded: no id of a vocabulary may be there
        if params.mask is not None:
            params.mask.mask(allowed)
            assert not allowed[self._size :].any()
        if script and allowed[script[0]]:
            return [script[0]]
        among = np.flatnonzero(allowed[: self._size])
        ending = self._control[allowed[self._control] == 1]
        return [int(self._random.choice(ending if ending.size and self._random.random() < 0.2 else among))]

    def _follow(self, script: list[int], token_id: int) -> None:
        """Forget what was said; where another control token was, go on behind its next mention."""
        if script[:1] == [token_id] or (token_id in self._control and token_id in script):
            del script[: script.index(token_id) + 1]
