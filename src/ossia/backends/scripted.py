"""A backend that answers from a list, or as a function says: to test what stands above a model."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import replace

from ossia.backends.base import Capabilities, Item
from ossia.errors import BackendError, ContextLengthError, InputError
from ossia.model.sampling import PromptProgress, SamplingParams, Token

Script = Iterable[Sequence[int]] | Callable[[Sequence[int]], Sequence[int]]


class ScriptedBackend:
    """The i-th request is answered with the i-th list of `script`, or with what `script` makes of the prompt,
    cut as an engine would cut it: after a stop id, or after `max_tokens`. A script that just ends has
    `finish` "stop". Each token takes `seconds_per_token`.

    `prompts` and `params` record the requests; `left` counts answers the reader left early.
    """

    capabilities = Capabilities(masks=False, logprobs=False, forced_ids=False, prefix_cache=False)

    def __init__(self, script: Script, context_length: int = 8192, *, seconds_per_token: float = 0.0) -> None:
        self.context_length = context_length
        self.prompts: list[list[int]] = []
        self.params: list[SamplingParams] = []
        self.left = 0
        self._answer = script if callable(script) else _one_by_one(script)
        self._seconds_per_token = seconds_per_token
        self._closed = False

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        """The next answer of the script. Raises InputError for an empty prompt, ContextLengthError for one
        that leaves no room, BackendError where the script is at its end or the backend is closed."""
        self._check(len(prompt_ids), params)
        answer = self._answer(prompt_ids)
        if answer is None:
            raise BackendError(
                f"the script has no answer to request {len(self.prompts) + 1}",
                value=len(self.prompts) + 1,
                limit=len(self.prompts),
            )
        self.prompts.append(list(prompt_ids))
        self.params.append(params)
        room = self.context_length - len(prompt_ids)
        begin = [PromptProgress(0, len(prompt_ids))] if params.progress else []
        return self._play(begin, _cut(answer, params, room))

    async def close(self) -> None:
        """Refuse further requests."""
        self._closed = True

    async def _play(self, begin: list[PromptProgress], tokens: list[Token]) -> AsyncGenerator[Item, None]:
        complete = False
        try:
            for progress in begin:
                yield progress
            for token in tokens:
                await asyncio.sleep(self._seconds_per_token)  # a place to be cancelled at, as with a real one
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


def _one_by_one(script: Iterable[Sequence[int]]) -> Callable[[Sequence[int]], Sequence[int] | None]:
    answers = iter(script)
    return lambda _: next(answers, None)


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
