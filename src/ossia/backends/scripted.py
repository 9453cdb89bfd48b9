"""A backend that answers from a list: for tests of everything that stands above a model."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import replace

from ossia.backends.base import Capabilities
from ossia.errors import BackendError, ContextLengthError, InputError
from ossia.model.sampling import SamplingParams, Token


class ScriptedBackend:
    """The i-th request is answered with the i-th list of `script`, cut as an engine would cut it: after a
    stop id, or after `max_tokens`. A script that just ends has `finish` "stop".

    `prompts` and `params` record the requests; `left` counts answers the reader left early.
    """

    capabilities = Capabilities(masks=False, logprobs=False, forced_ids=False, prefix_cache=False)

    def __init__(self, script: Iterable[Sequence[int]], context_length: int = 8192) -> None:
        self.context_length = context_length
        self.prompts: list[list[int]] = []
        self.params: list[SamplingParams] = []
        self.left = 0
        self._script = iter(script)
        self._closed = False

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Token, None]:
        """The next answer of the script. Raises InputError for an empty prompt, ContextLengthError for one
        that leaves no room, BackendError where the script is at its end or the backend is closed."""
        self._check(len(prompt_ids), params)
        answer = next(self._script, None)
        if answer is None:
            raise BackendError(
                f"the script has no answer to request {len(self.prompts) + 1}",
                value=len(self.prompts) + 1,
                limit=len(self.prompts),
            )
        self.prompts.append(list(prompt_ids))
        self.params.append(params)
        room = self.context_length - len(prompt_ids)
        return self._play(_cut(answer, params, room))

    async def close(self) -> None:
        """Refuse further requests."""
        self._closed = True

    async def _play(self, tokens: list[Token]) -> AsyncGenerator[Token, None]:
        complete = False
        try:
            for token in tokens:
                await asyncio.sleep(0)  # a place to be cancelled at, as with a real one
                complete = token.finish is not None
                yield token
        finally:
            self.left += not complete

    def _check(self, prompt: int, params: SamplingParams) -> None:
        if self._closed:
            raise BackendError("the backend is closed")
        if prompt == 0:
            raise InputError("the prompt is empty", value=0, limit=1, remedy="Give at least one token.")
        total = prompt + (params.max_tokens or 1)
        if total > self.context_length:
            raise ContextLengthError(
                f"{prompt:,} prompt tokens and {total - prompt:,} for the answer make {total:,},"
                f" and the context is {self.context_length:,}",
                value=total,
                limit=self.context_length,
                remedy="Shorten the conversation or ask for a shorter answer.",
            )


def _cut(answer: Sequence[int], params: SamplingParams, room: int) -> list[Token]:
    tokens: list[Token] = []
    limit = room if params.max_tokens is None else params.max_tokens
    for i in answer:
        tokens.append(Token(i))
        if i in params.stop_ids:
            break
        if len(tokens) == limit:
            return [*tokens[:-1], replace(tokens[-1], finish="length")]
    return [*tokens[:-1], replace(tokens[-1], finish="stop")] if tokens else []
