"""The agent loop: render, generate, parse, call tools, and again, until the final answer.

The only loop there is: command line, server, evaluations and rollouts all enter here. It alone turns text
into ids and ids into events.

Inside a turn the model reads on exactly from what it sampled: the next prompt is the last one, the
sampled ids, and the tools' results, so that neither the chain of thought nor a choice of BPE is lost and the
prefix cache holds. Only where the model's ids were malformed is the conversation rendered anew.
"""

import time
from asyncio import timeout
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from ossia.agent.events import Event, Finished, FinishReason, MessageDone, Note, ResultReady, Usage
from ossia.agent.limits import Limits
from ossia.agent.translate import Call, StopStrings, Translator
from ossia.backends.base import Backend
from ossia.errors import ContextLengthError
from ossia.harmony.messages import Conversation, Message, tool_result
from ossia.harmony.render import render_conversation, render_message
from ossia.model.sampling import SamplingParams, Token
from ossia.tokenizer.base import Tokenizer
from ossia.tools.base import Tool, ToolOutcome
from ossia.tools.toolbox import Toolbox, is_declared

_DEFAULTS = SamplingParams()
_NO_LIMITS = Limits()


async def run(
    backend: Backend,
    tok: Tokenizer,
    conversation: Conversation,
    *,
    tools: Sequence[Tool] = (),
    sampling: SamplingParams | None = None,
    limits: Limits = _NO_LIMITS,
    stop: Sequence[str] = (),
) -> AsyncGenerator[Event, None]:
    """Answer the end of `conversation`: yield events, the last of them `Finished`.

    The tools must be declared in the conversation for the model to know them (`card.opening` does it); a
    call of one that is declared but not given here ends the answer with reason "calls".
    `sampling.max_tokens` holds for each step, `limits` for the whole answer. `stop` strings end the final
    text and are not part of it.

    Closing the iterator, or cancelling the task that reads it, cancels the generation and whatever tool
    runs. Raises InputError, ToolDefinitionError or ContextLengthError before anything is computed,
    BackendError where the backend stops; whatever the model does is an event.
    """
    StopStrings(stop)
    turn = _Turn(backend, tok, conversation, Toolbox(tools), sampling or _DEFAULTS, limits, tuple(stop))
    while turn.reason is None:
        async with aclosing(turn.step()) as events:
            async for event in events:
                yield event
    yield turn.finished()


class _Turn:
    """One answer under way."""

    def __init__(
        self,
        backend: Backend,
        tok: Tokenizer,
        conversation: Conversation,
        toolbox: Toolbox,
        sampling: SamplingParams,
        limits: Limits,
        stops: tuple[str, ...],
    ) -> None:
        self._backend = backend
        self._tok = tok
        self._toolbox = toolbox
        self._limits = limits
        self._stops = stops
        self._sampling = replace(
            sampling,
            stop_ids=sampling.stop_ids | tok.markers.stop_ids,
            boundary_ids=sampling.boundary_ids | {tok.markers.end},
        )
        self._started = time.monotonic()
        self._deadline = None if limits.seconds is None else self._started + limits.seconds
        self._prompt: list[int] | None = None  # the next one, where it continues the last
        self._ids: list[int] = []  # sampled in this step
        self._usage = Usage()
        self._stop_string: str | None = None
        self.conversation = conversation
        self.reason: FinishReason | None = None

    def finished(self) -> Finished:
        assert self.reason is not None, "asked for the end of an answer before its end"
        usage = replace(self._usage, seconds=time.monotonic() - self._started)
        return Finished(self.reason, usage, self.conversation, self._stop_string)

    async def step(self) -> AsyncGenerator[Event, None]:
        """Sample once and run what was called; sets `reason` when the answer has ended."""
        prompt = self._prompt or render_conversation(self.conversation, self._tok, completion=True)
        translator = Translator(self._tok, self._stops, self._calls_so_far())
        self._ids = []
        try:
            async with aclosing(self._sample(prompt, translator)) as events:
                async for event in events:
                    yield event
        except ContextLengthError:
            if not self._usage.steps:
                raise
            yield self._context_full(len(prompt))  # no fault of the caller: calls and results filled it
            return
        for event in translator.finish():
            yield event
        self._close_step(prompt, translator)
        if self.reason is not None:
            if self.reason == "stop" and not translator.answered:
                yield Note("no-final", "the model stopped without an answer")
            return
        async with aclosing(self._run_calls(translator.calls)) as events:
            async for event in events:
                yield event

    async def _sample(self, prompt: list[int], translator: Translator) -> AsyncGenerator[Event, None]:
        async with aclosing(self._backend.generate(prompt, self._step_params(len(prompt)))) as tokens:
            while not translator.over:
                token = await self._next(tokens)
                if token is None:
                    return
                self._count(token, len(prompt))
                for event in translator.feed(token.id):
                    yield event
                if token.finish is not None and not translator.over:
                    self.reason = self._why_cut(token)
                    return

    async def _next(self, tokens: AsyncGenerator[Token, None]) -> Token | None:
        """The next token; None, and the reason set, when time is up."""
        if self._deadline is None:
            return await anext(tokens, None)
        scope = timeout(self._deadline - time.monotonic())
        try:
            async with scope:
                token = await anext(tokens, None)
        except TimeoutError:
            if not scope.expired():
                raise
        else:
            if time.monotonic() < self._deadline:  # a backend that never waits is never interrupted
                return token
        self.reason = "limit_time"
        return None

    def _why_cut(self, token: Token) -> FinishReason | None:
        if token.finish == "cancelled":
            return "cancelled"
        if token.finish != "length":
            return None
        limit = self._limits.tokens
        return "limit_tokens" if limit is not None and self._usage.output_tokens >= limit else "length"

    def _step_params(self, prompt_tokens: int) -> SamplingParams:
        """What is asked for, within what is left of the limits.

        What the caller asked for is only cut to the context after the first step: before, it is an error.
        """
        room = max(self._backend.context_length - prompt_tokens, 1)
        counts: list[int] = []
        if self._sampling.max_tokens is not None:
            asked = self._sampling.max_tokens
            counts.append(min(asked, room) if self._usage.steps else asked)
        if self._limits.tokens is not None:
            counts.append(min(self._limits.tokens - self._usage.output_tokens, room))
        return replace(self._sampling, max_tokens=min(counts)) if counts else self._sampling

    def _count(self, token: Token, prompt_tokens: int) -> None:
        usage = self._usage
        if not self._ids:
            usage = replace(
                usage,
                prompt_tokens=usage.prompt_tokens + prompt_tokens,
                cached_tokens=usage.cached_tokens + token.cached,
                steps=usage.steps + 1,
            )
        if usage.first_token_s is None:
            usage = replace(usage, first_token_s=time.monotonic() - self._started)
        self._ids.append(token.id)
        context = prompt_tokens + len(self._ids)
        self._usage = replace(usage, output_tokens=usage.output_tokens + 1, context_tokens=context)

    def _close_step(self, prompt: list[int], translator: Translator) -> None:
        thought = self._usage.reasoning_tokens + translator.reasoning_tokens
        self._usage = replace(self._usage, reasoning_tokens=thought)
        self.conversation = self.conversation.append(*translator.messages)
        unbroken = translator.clean and self._ids[-1:] == [self._tok.markers.call]
        self._prompt = prompt + self._ids if unbroken else None
        if translator.stop_string is not None:
            self.reason, self._stop_string = "stop_string", translator.stop_string
        elif self.reason is None and (not translator.calls or not self._ids):
            self.reason = "stop"

    async def _run_calls(self, calls: list[Call]) -> AsyncGenerator[Event, None]:
        """Run the calls of a step in order: what they do may depend on it."""
        results: list[Message] = []
        left_to_caller = False
        for call in calls:
            if self._toolbox.find(call.name) is None and is_declared(call.name, self.conversation):
                left_to_caller = True
                continue
            outcome = await self._call(call)
            results.append(tool_result(call.name, outcome.text))
            yield ResultReady(call.id, call.name, outcome.text, outcome.is_error)
            yield MessageDone(results[-1])
        self.conversation = self.conversation.append(*results)
        if self._prompt is not None:
            for message in results:
                self._prompt += render_message(message, self._tok)
            self._prompt += [self._tok.markers.start, *self._tok.encode("assistant")]
        self.reason = "calls" if left_to_caller else self._limit_reached()

    async def _call(self, call: Call) -> ToolOutcome:
        scope = timeout(None if self._deadline is None else self._deadline - time.monotonic())
        try:
            async with scope:
                return await self._toolbox.call(call.name, call.message.text)
        except TimeoutError:
            if not scope.expired():
                raise
            return ToolOutcome("TimeoutError: the time for this answer is up", is_error=True)

    def _limit_reached(self) -> FinishReason | None:
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return "limit_time"
        if self._limits.tokens is not None and self._usage.output_tokens >= self._limits.tokens:
            return "limit_tokens"
        return "limit_turns" if self._usage.steps >= self._limits.turns else None

    def _context_full(self, prompt_tokens: int) -> Note:
        self.reason = "length"
        limit = self._backend.context_length
        return Note("context-full", f"the conversation has {prompt_tokens} tokens, the context {limit}")

    def _calls_so_far(self) -> int:
        return sum(message.is_call for message in self.conversation.messages)
