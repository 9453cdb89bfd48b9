"""A Backend over vLLM servers: one streamed completion for each request.

Harmony, tools and the API stay here; what travels are token ids, so nothing of a conversation is read or
written twice by two templates. No grammar is obeyed.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import httpx2
import orjson

from ossia.backends.base import Capabilities, Item
from ossia.backends.vllm.servers import Servers
from ossia.backends.vllm.wire import Chunk, read_chunk, request_body
from ossia.errors import BackendError, ContextLengthError, InputError
from ossia.model.sampling import PromptProgress, SamplingParams, Token

_DATA = "data:"
_MOMENT_S = 0.25


class VllmBackend:
    """A Backend over `servers`, which all serve `model`. `context_length`: prompt and answer together, in
    tokens; ids are below `vocab_size`."""

    capabilities = Capabilities(masks=False, logprobs=True, forced_ids=False, prefix_cache=True)

    def __init__(self, servers: Servers, model: str, *, context_length: int, vocab_size: int) -> None:
        self.context_length = context_length
        self._vocab_size = vocab_size
        self._servers = servers
        self._model = model
        self._closed = False

    def generate(self, prompt_ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[Item, None]:
        """The answer's tokens; see `Backend.generate`. The prompt's length is checked here, the rest by the
        server: what it refuses is raised when the first token is asked for, OverloadedError where it is busy.

        What it took from its prefix cache comes with the last token.
        """
        self._check(prompt_ids, params)
        return self._generate(prompt_ids, params)

    async def close(self) -> None:
        """Take no more requests; those under way end at their next token."""
        self._closed = True

    def _check(self, prompt_ids: Sequence[int], params: SamplingParams) -> None:
        if self._closed:
            raise _gone()
        if params.mask is not None:
            raise InputError("this backend obeys no mask", value="mask", remedy="Leave the mask out.")
        if len(prompt_ids) == 0:
            raise InputError("the prompt is empty", value=0, limit=1, remedy="Give at least one token.")
        if not 0 <= min(prompt_ids) <= max(prompt_ids) < self._vocab_size:  # an engine there dies of it
            raise InputError(
                f"the prompt has ids that are not in the vocabulary of {self._vocab_size:,}",
                value=max(prompt_ids),
                limit=self._vocab_size,
                remedy="The prompt was made with another tokenizer.",
            )
        params.check_vocabulary(self._vocab_size)
        answer = params.max_tokens or 1
        if (total := len(prompt_ids) + answer) > self.context_length:
            raise ContextLengthError(
                f"{len(prompt_ids):,} prompt tokens and {answer:,} for the answer make {total:,},"
                f" and the context is {self.context_length:,}",
                value=total,
                limit=self.context_length,
                remedy="Shorten the conversation or ask for a shorter answer.",
            )

    async def _generate(
        self, prompt_ids: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[Item, None]:
        body = request_body(self._model, prompt_ids, params, self.context_length)
        async with (
            self._servers.stream("/v1/completions", body) as response,
            aclosing(_chunks(response, params)) as chunks,
            aclosing(_with_the_end(chunks)) as tokens,
            aclosing(_announced(tokens, len(prompt_ids)) if params.progress else tokens) as items,
        ):
            async for item in items:
                if self._closed:
                    raise _gone()
                yield item


async def _announced(tokens: AsyncGenerator[Token, None], total: int) -> AsyncGenerator[Item, None]:
    """`tokens`, and before them that a prompt of `total` tokens was accepted.

    vLLM sends its headers before it has looked at a request. So what it objects to within a moment comes
    first, and alone.
    """
    first = asyncio.ensure_future(anext(tokens, None))
    try:
        await asyncio.wait({first}, timeout=_MOMENT_S)
        if first.done():
            first.result()
        yield PromptProgress(0, total)
        token = await first
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    if token is not None:
        yield token
    async for token in tokens:
        yield token


async def _with_the_end(chunks: AsyncGenerator[Chunk, None]) -> AsyncGenerator[Token, None]:
    """The tokens of `chunks`. The last one is held until what follows it has said how much was cached."""
    last: Token | None = None
    cached = 0
    async for chunk in chunks:
        cached += chunk.cached
        known = chunk.tokens if chunk.finish is None else chunk.tokens[:-1]
        for token in known:
            yield token
        if chunk.finish is not None and chunk.tokens:
            last = replace(chunk.tokens[-1], finish=chunk.finish)
    if last is None:
        raise BackendError("the vLLM server's answer ended early", remedy="Ask again.")
    yield replace(last, cached=cached)


async def _chunks(response: httpx2.Response, params: SamplingParams) -> AsyncGenerator[Chunk, None]:
    source = cast(AsyncGenerator[str, None], response.aiter_lines())
    async with aclosing(source) as lines:
        async for line in lines:
            if not line.startswith(_DATA):
                continue
            data = line.removeprefix(_DATA).strip()
            if data == "[DONE]":
                return
            yield read_chunk(_parsed(data), params)


def _parsed(data: str) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], orjson.loads(data))
    except orjson.JSONDecodeError as error:
        raise BackendError(f"the vLLM server sent no JSON: {data[:100]!r}") from error


def _gone() -> BackendError:
    return BackendError("the backend was closed", remedy="Open the model again.")
