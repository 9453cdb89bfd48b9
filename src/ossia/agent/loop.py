"""The agent loop: render, generate, parse, call tools, and again, until the final answer.

The only loop there is: command line, server, evaluations and rollouts all enter here. It alone turns text
into ids and ids into events.

Inside a turn the model reads on exactly from what it sampled: messages keep the ids they were read from, so
the next prompt is the last one, the sampled ids, and the tools' results. Neither the chain of thought nor a
choice of BPE is lost, and the prefix cache holds. Only a message whose ids were malformed is rendered anew.
"""

import time
from asyncio import timeout, to_thread
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from ossia.agent.events import (
    CallReady,
    Event,
    Finished,
    FinishReason,
    MessageDone,
    Note,
    ResultReady,
    Step,
    Usage,
)
from ossia.agent.limits import Limits
from ossia.agent.repetition import Loop, RepetitionWatch
from ossia.agent.steering.control import Control
from ossia.agent.steering.guide import Guide
from ossia.agent.translate import Call, StopStrings, Translator
from ossia.backends.base import Backend, Item
from ossia.errors import ContextLengthError, InputError
from ossia.harmony.grammar import GrammarCompiler, ResponseFormat, ToolChoice
from ossia.harmony.incremental import Rendering
from ossia.harmony.messages import Conversation, Message, tool_result
from ossia.model.sampling import PromptProgress, SamplingParams, Token
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
    tool_choice: ToolChoice = "auto",
    response_format: ResponseFormat | None = None,
    max_calls: int | None = None,
    grammar: GrammarCompiler | None = None,
    control: Control | None = None,
    rendering: Rendering | None = None,
) -> AsyncGenerator[Event, None]:
    """Answer the end of `conversation`: yield events, the last of them `Finished`.

    The tools must be declared in the conversation for the model to know them (`card.opening` does it); a
    call of one that is declared but not given here ends the answer with reason "calls".
    `sampling.max_tokens` holds for each step, `limits` for the whole answer. `stop` strings end the final
    text and are not part of it.

    With `grammar`, on a backend that obeys masks, malformed Harmony, undeclared tools and arguments against
    their schema cannot be sampled. `tool_choice` required or named holds until a call was made, then the
    model may answer; `response_format` is the final's; `max_calls` counts over the answer. `control` can ask
    for the answer from another thread. `rendering` keeps what was rendered from one answer to the next.

    Closing the iterator, or cancelling the task that reads it, cancels the generation and whatever tool
    runs. Raises InputError, ToolDefinitionError or ContextLengthError before anything is computed,
    BackendError where the backend stops or cannot enforce what is asked; whatever the model does is an event.
    """
    StopStrings(stop)
    _check_sampling(sampling or _DEFAULTS)
    guide = Guide(
        tok,
        backend.capabilities,
        grammar,
        tool_choice=tool_choice,
        response_format=response_format,
        max_calls=max_calls,
        reasoning_tokens=limits.reasoning_tokens,
        control=control or Control(),
    )
    box, params = Toolbox(tools), sampling or _DEFAULTS
    turn = _Turn(backend, tok, conversation, box, params, limits, tuple(stop), guide, rendering)
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
        guide: Guide,
        rendering: Rendering | None,
    ) -> None:
        self._backend = backend
        self._tok = tok
        self._toolbox = toolbox
        self._limits = limits
        self._stops = stops
        self._guide = guide
        self._kept = rendering is not None  # by somebody who may go on with it as soon as we are cancelled
        self._rendering = rendering or Rendering(tok, schema="full")
        self._sampling = replace(
            sampling,
            stop_ids=sampling.stop_ids | tok.markers.stop_ids,
            boundary_ids=sampling.boundary_ids | {tok.markers.end},
        )
        self._logprobs = sampling.logprobs is not None and backend.capabilities.logprobs
        self._started = time.monotonic()
        self._deadline = None if limits.seconds is None else self._started + limits.seconds
        self._calls = 0  # made in this answer
        self._prompt_tokens = 0  # of this step
        self._ids: list[int] = []  # of this step
        self._steps: list[Step] = []
        self._watch: RepetitionWatch | None = None
        self._usage = Usage()
        self._stop_string: str | None = None
        self.conversation = conversation
        self.reason: FinishReason | None = None

    def finished(self) -> Finished:
        assert self.reason is not None, "asked for the end of an answer before its end"
        usage = replace(self._usage, seconds=time.monotonic() - self._started)
        return Finished(self.reason, usage, self.conversation, self._stop_string, tuple(self._steps))

    async def step(self) -> AsyncGenerator[Event, None]:
        """Sample once and run what was called; sets `reason` when the answer has ended."""
        prompt = await self._prompt()
        self._guide.begin(self.conversation, self._calls, self._usage.reasoning_tokens)
        await self._guide.ready()
        translator = Translator(self._tok, self._stops, self._calls_so_far(), logprobs=self._logprobs)
        self._prompt_tokens = len(prompt)
        self._ids = []
        self._steps.append(Step(prompt, self._ids))
        self._watch = RepetitionWatch() if self._limits.repetition else None
        try:
            async with aclosing(self._sample(prompt, translator)) as events:
                async for event in events:
                    yield event
        except ContextLengthError:
            if not self._usage.steps:
                raise
            yield self._context_full(len(prompt))  # no fault of the caller: calls and results filled it
        finally:
            failed = self._guide.end()
        if failed is not None:
            yield failed
        for event in translator.finish():
            yield event
        self._close_step(translator)
        if self.reason == "stop" and not translator.answer.strip():
            yield self._empty(translator)
        if self.reason is None:
            async with aclosing(self._run_calls(translator.calls)) as events:
                async for event in events:
                    yield event

    async def _prompt(self) -> Sequence[int]:
        """The ids of this step's prompt, rendered beside the event loop: megabytes of text take seconds."""
        if self._kept:
            return self._rendering.update(self.conversation, completion=True).ids
        return (await to_thread(self._rendering.update, self.conversation, completion=True)).ids

    async def _sample(self, prompt: Sequence[int], translator: Translator) -> AsyncGenerator[Event, None]:
        """Read one step. Where the chain of thought has to be closed from here, close it and read on."""
        before, closed = prompt, True
        while closed:
            async with aclosing(self._read(before, translator)) as events:
                async for event in events:
                    yield event
            closed = self.reason is None and self._must_close(translator)
            if closed:
                for event in self._close_reasoning(translator):
                    yield event
                self.reason = self._tokens_reached() or self._step_is_full()
                closed = self.reason is None
                before = [*prompt, *self._ids]

    async def _read(self, prompt: Sequence[int], translator: Translator) -> AsyncGenerator[Event, None]:
        params = replace(self._step_params(len(prompt)), mask=self._guide.mask, progress=not self._ids)
        new = True
        async with aclosing(self._backend.generate(prompt, params)) as tokens:
            while not translator.over:
                token = await self._next(tokens)
                if token is None:
                    return
                if isinstance(token, PromptProgress):
                    yield token
                    continue
                if new:
                    self._count_request(len(prompt))
                new = False
                self._count_cached(token.cached)
                for event in self._take(token, translator):
                    yield event
                if translator.over or self.reason is not None or self._must_close(translator):
                    return

    def _take(self, token: Token, translator: Translator) -> Iterator[Event]:
        """What one token brought about; sets `reason` where it is the last."""
        self._count(token.id)
        for event in translator.feed(token):
            yield event
            if (note := self._judge(event, translator)) is not None:
                yield note
        if (note := self._guide.closed_by_mask(translator.thinking)) is not None:
            yield note
        if translator.over:
            return
        loop = self._watch.feed(token.id) if self._watch is not None else None
        if token.finish is not None:
            self.reason = self._why_cut(token)
        elif loop is not None:
            self.reason = "repetition"
            yield _repeats(loop)

    def _judge(self, event: Event, translator: Translator) -> Note | None:
        """What a complete call or final has against its schema, where the grammar could not enforce it."""
        match event:
            case CallReady(name=name, arguments=arguments):
                return self._guide.problem(name, arguments)
            case MessageDone(message) if message.is_final:
                return None if translator.stop_string else self._guide.problem(None, message.text)
            case _:
                return None

    def _must_close(self, translator: Translator) -> bool:
        spent = self._usage.reasoning_tokens + translator.reasoning_tokens
        return self._guide.must_close(translator.thinking, spent)

    def _close_reasoning(self, translator: Translator) -> Iterator[Event]:
        for token_id in self._guide.closing:
            self._count(token_id)
            yield from translator.feed(Token(token_id))
        if (note := self._guide.closed()) is not None:
            yield note

    async def _next(self, tokens: AsyncGenerator[Item, None]) -> Item | None:
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
        return self._tokens_reached() or "length"

    def _step_params(self, prompt_tokens: int) -> SamplingParams:
        """What is asked for, within what is left of the limits.

        What the caller asked for is only cut to the context after the first step: before, it is an error.
        """
        room = max(self._backend.context_length - prompt_tokens, 1)
        counts: list[int] = []
        if self._sampling.max_tokens is not None:
            asked = self._sampling.max_tokens - len(self._ids)
            counts.append(min(asked, room) if self._usage.steps else asked)
        if self._limits.tokens is not None:
            counts.append(min(self._limits.tokens - self._usage.output_tokens, room))
        return replace(self._sampling, max_tokens=min(counts)) if counts else self._sampling

    def _count_cached(self, cached: int) -> None:
        if cached:
            self._usage = replace(self._usage, cached_tokens=self._usage.cached_tokens + cached)

    def _count_request(self, prompt_tokens: int) -> None:
        usage = self._usage
        first = time.monotonic() - self._started if usage.first_token_s is None else usage.first_token_s
        self._usage = replace(
            usage,
            prompt_tokens=usage.prompt_tokens + prompt_tokens,
            steps=usage.steps + 1,
            first_token_s=first,
        )

    def _count(self, token_id: int) -> None:
        self._ids.append(token_id)
        context = self._prompt_tokens + len(self._ids)
        self._usage = replace(
            self._usage, output_tokens=self._usage.output_tokens + 1, context_tokens=context
        )

    def _close_step(self, translator: Translator) -> None:
        thought = self._usage.reasoning_tokens + translator.reasoning_tokens
        self._usage = replace(self._usage, reasoning_tokens=thought)
        self._calls += len(translator.calls)
        self.conversation = self.conversation.append(*translator.messages)
        if translator.stop_string is not None:
            self.reason, self._stop_string = "stop_string", translator.stop_string
        elif self.reason is None and not translator.calls:
            self.reason = "stop"

    def _empty(self, translator: Translator) -> Note:
        self.reason = "empty"
        if translator.answered:
            return Note("empty-final", "the model's final message says nothing")
        return Note("no-final", "the model stopped without an answer")

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
        if self._usage.steps >= self._limits.turns:
            return self._tokens_reached() or "limit_turns"
        return self._tokens_reached()

    def _tokens_reached(self) -> FinishReason | None:
        limit = self._limits.tokens
        return "limit_tokens" if limit is not None and self._usage.output_tokens >= limit else None

    def _step_is_full(self) -> FinishReason | None:
        limit = self._sampling.max_tokens
        return "length" if limit is not None and len(self._ids) >= limit else None

    def _context_full(self, prompt_tokens: int) -> Note:
        self.reason = "length"
        limit = self._backend.context_length
        return Note("context-full", f"the conversation has {prompt_tokens} tokens, the context {limit}")

    def _calls_so_far(self) -> int:
        return sum(message.is_call for message in self.conversation.messages)


def _check_sampling(sampling: SamplingParams) -> None:
    """Raise InputError for a mask: it would serve one step, and an answer may have many."""
    if sampling.mask is not None:
        raise InputError(
            "an answer's sampling cannot bring a mask: each of its steps needs one of its own",
            value="mask",
            remedy="Give `grammar`, `tool_choice` or `response_format`, or ask the backend yourself.",
        )


def _repeats(loop: Loop) -> Note:
    return Note("repetition", f"the last {loop.tokens} tokens repeat the {loop.period} before them")
