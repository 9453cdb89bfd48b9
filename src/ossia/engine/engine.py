"""The engine: many sequences through one model, a step at a time.

`Engine.step` is the whole of it: schedule, draft, forward, sample, commit. The results of a sequence do not
depend on what runs beside it, on how its tokens are cut into chunks, on prefix hits, preemptions or drafts.

Not safe for threads: one thread submits, steps and cancels (`backends.native` keeps one for it).
"""

import secrets
import time
from collections.abc import Callable
from collections.abc import Sequence as Row
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ossia.engine.batching import make_asks, make_batch
from ossia.engine.block_pool import BlockPool
from ossia.engine.lookup import agreeing
from ossia.engine.paging import BlockStore, Paging
from ossia.engine.scheduler import Chunk, Scheduler
from ossia.engine.sequence import Ids, Sequence, check_length, checked_prompt, new_sequence
from ossia.engine.sizing import EngineOptions, PoolPlan, plan_pools
from ossia.engine.snapshots import SnapshotStore, open_store
from ossia.engine.speculation import LONGEST_DRAFT, Speculation
from ossia.engine.switch_interval import SwitchInterval
from ossia.errors import InputError
from ossia.kernels.experts import ExpertCounts
from ossia.model.batch import Batch
from ossia.model.config import ModelConfig
from ossia.model.head import Answer
from ossia.model.kv_cache import BLOCK, KVCache, block_bytes, kv_kind
from ossia.model.memory.streaming import StreamedExperts
from ossia.model.sampling import Ask, PromptProgress, SamplingParams, Token, sample
from ossia.model.transformer import Transformer
from ossia.model.weights import Weights
from ossia.settings import Numerics


class ForwardModel(Protocol):
    """What the engine needs of a model."""

    def sample(self, batch: Batch, asks: Row[Ask | None]) -> Row[Answer]:
        """Compute the batch's tokens, storing their K and V. What was asked behind each of
        `batch.logit_rows`, or its logits: None asks for them, and they are an answer to everything."""
        ...


LogitsObserver = Callable[[Sequence, NDArray[np.float32]], None]
"""Called with a sequence and the raw logits (V,) of its next token, at position `sequence.num_tokens`. The
array is only lent. For tests and measurements; what it does cannot change what is sampled."""


@dataclass(frozen=True, slots=True)
class Output:
    """One token of a sequence, the error that ended it, or, where it asks, how far its prompt was read."""

    sequence: Sequence
    token: Token | None
    error: InputError | None = None
    progress: PromptProgress | None = None


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Counters since the start (tokens, steps, preemptions, evictions) and gauges of now (the rest)."""

    steps: int
    prompt_tokens: int  # submitted
    cached_tokens: int  # of these, taken from the prefix cache
    restored_tokens: int  # in prefixes read from the disk
    stored_bytes: int  # written there
    computed_tokens: int  # whose K and V were kept, recomputation after preemption included
    generated_tokens: int
    drafted_tokens: int  # guessed and computed
    accepted_tokens: int  # of these, what was then sampled
    preemptions: int
    evictions: int
    waiting: int
    running: int
    snapshots: int
    full_blocks: int
    full_blocks_in_use: int
    full_blocks_free: int  # the rest is kept by the prefix cache alone
    window_blocks: int
    window_blocks_in_use: int
    window_blocks_free: int
    experts: ExpertCounts | None = None  # where they stream: asked for, read


@dataclass(slots=True)
class _Counters:
    steps: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    computed_tokens: int = 0
    generated_tokens: int = 0


class Engine:
    """Runs sequences on `model`, whose K and V lie in `store`; `build_engine` puts one together.

    `context_length`: prompt + answer of one sequence, at most, in tokens.
    """

    def __init__(
        self,
        model: ForwardModel,
        store: BlockStore,
        plan: PoolPlan,
        *,
        vocab_size: int,
        sliding_window: int,
        model_context: int,
        options: EngineOptions,
        observer: LogitsObserver | None = None,
        disk: SnapshotStore | None = None,
        streamed: StreamedExperts | None = None,
    ) -> None:
        self.vocab_size = vocab_size
        self.context_length = min(plan.context_length, model_context)
        self._model_context = min(model_context, options.max_context or model_context)
        self._model = model
        self._observer = observer
        self._full = BlockPool(plan.full_blocks)
        self._window = BlockPool(plan.window_blocks)
        self._paging = Paging(
            store,
            self._full,
            self._window,
            sliding_window=sliding_window,
            snapshot_every=options.snapshot_every,
            prefix_cache=options.prefix_cache,
            disk=disk,
        )
        self._disk = disk
        self._streamed = streamed
        self._scheduler = Scheduler(
            self._paging,
            max_batch_tokens=options.max_batch_tokens,
            max_sequences=options.max_sequences,
            max_chunk=options.max_chunk or options.max_batch_tokens,
        )
        self._speculation = Speculation(vocab_size, options.max_batch_tokens) if options.speculation else None
        self._quick_turns = SwitchInterval()
        self._counters = _Counters()
        self._arrivals = 0

    @property
    def has_work(self) -> bool:
        """Whether a step would compute anything."""
        return bool(self._scheduler.waiting or self._scheduler.running)

    def check(self, prompt_ids: Ids, params: SamplingParams) -> NDArray[np.int32]:
        """The prompt as int32 (n,), if it can be run; computes nothing, and any thread may ask.

        Raises InputError (empty prompt, id out of the vocabulary) and ContextLengthError (prompt and
        `max_tokens`, or one token where that is None, over the model's context or the memory for it).
        """
        ids = checked_prompt(prompt_ids, self.vocab_size)
        params.check_vocabulary(self.vocab_size)
        check_length(
            ids.size, params.max_tokens, context_length=self.context_length, model_context=self._model_context
        )
        return ids

    def submit(self, prompt_ids: Ids, params: SamplingParams) -> Sequence:
        """Queue a request; raises what `check` raises, before anything is computed."""
        ids = self.check(prompt_ids, params)
        limit = self.context_length if params.max_tokens is None else ids.size + params.max_tokens
        self._arrivals += 1
        sequence = new_sequence(
            ids,
            params,
            capacity=limit,
            seed=secrets.randbits(63) if params.seed is None else params.seed,
            arrival=self._arrivals,
            block=BLOCK,
        )
        if self._speculation is not None:
            self._speculation.watch(sequence)
        self._counters.prompt_tokens += ids.size
        self._scheduler.add(sequence)
        return sequence

    def step(self) -> list[Output]:
        """Compute once for everyone who is scheduled; returns the tokens this brought, oldest request
        first. One native call. A finished sequence has given back everything."""
        with self._quick_turns:
            chunks = self._scheduler.schedule()
            if not chunks:
                return []
            if self._speculation is not None:
                chunks = self._speculation.draft(chunks, self._paging)
            return self._commit(chunks, self._forward(chunks))

    def cancel(self, sequence: Sequence) -> None:
        """Stop a sequence and free all it holds, at once; nothing if it has finished."""
        if sequence.status != "finished":
            self._scheduler.remove(sequence)
            sequence.finish = "cancelled"

    def preempt(self, sequence: Sequence) -> None:
        """Make a running sequence give its blocks back now and go on when there is room again (at the next
        step if nobody else runs); its tokens do not change by it. Nothing if it does not run."""
        if sequence.status == "running":
            self._scheduler.preempt(sequence)

    def flush(self) -> None:
        """Wait until the prefixes taken so far are on the disk, as the interpreter's end does anyway."""
        if self._disk is not None:
            self._disk.flush()

    @property
    def stats(self) -> EngineStats:
        """A snapshot of counters and gauges."""
        counters, scheduler, full, window = self._counters, self._scheduler, self._full, self._window
        return EngineStats(
            steps=counters.steps,
            prompt_tokens=counters.prompt_tokens,
            cached_tokens=counters.cached_tokens,
            restored_tokens=self._disk.restored_tokens if self._disk else 0,
            stored_bytes=self._disk.stored_bytes if self._disk else 0,
            computed_tokens=counters.computed_tokens,
            generated_tokens=counters.generated_tokens,
            drafted_tokens=self._speculation.drafted if self._speculation else 0,
            accepted_tokens=self._speculation.accepted if self._speculation else 0,
            preemptions=scheduler.preemptions,
            evictions=self._paging.cache.evictions,
            waiting=len(scheduler.waiting),
            running=len(scheduler.running),
            snapshots=len(self._paging.cache),
            full_blocks=full.num_blocks,
            full_blocks_in_use=full.in_use,
            full_blocks_free=full.free,
            window_blocks=window.num_blocks,
            window_blocks_in_use=window.in_use,
            window_blocks_free=window.free,
            experts=self._streamed.counts if self._streamed else None,
        )

    def _forward(self, chunks: list[Chunk]) -> Row[Answer]:
        started = time.perf_counter()
        batch, asks = make_batch(chunks), make_asks(chunks)
        answers = self._model.sample(batch, asks if self._observer is None else [None] * len(asks))
        if self._speculation is not None:
            self._speculation.note(chunks, time.perf_counter() - started)
        return answers

    def _commit(self, chunks: list[Chunk], answers: Row[Answer]) -> list[Output]:
        self._counters.steps += 1
        for chunk in chunks:
            self._paging.advance(chunk.sequence, chunk.count)
            self._counters.computed_tokens += chunk.count
        outputs: list[Output] = []
        row = 0
        for chunk in chunks:
            if chunk.completes:
                rows = 1 + len(chunk.draft)
                outputs += self._continue(chunk, answers[row : row + rows])
                row += rows
            elif (progress := chunk.sequence.reading) is not None:
                outputs.append(Output(chunk.sequence, None, progress=progress))
        return outputs

    def _continue(self, chunk: Chunk, answers: Row[Answer]) -> list[Output]:
        """Sample behind a sequence's known tokens, and behind those of its draft as long as the draft is what
        was sampled: then an answer (1 + draft of them) is what it would have been without the draft."""
        sequence, start = chunk.sequence, chunk.sequence.num_tokens
        outputs: list[Output] = []
        known = agreed = 0
        while sequence.finish is None and agreed == known:
            tokens = self._next(sequence, answers[known])
            if isinstance(tokens, InputError):
                self._scheduler.remove(sequence)
                return [*outputs, Output(sequence, None, tokens)]
            outputs += self._accept(sequence, tokens)
            known = sequence.num_tokens - start
            agreed = agreeing(chunk.draft, sequence.token_ids[start : sequence.num_tokens].tolist())
        if agreed:
            self._keep_draft(sequence, start, agreed)
        if sequence.finish is not None:
            self._paging.keep(sequence)
            self._scheduler.remove(sequence)
        return outputs

    def _keep_draft(self, sequence: Sequence, start: int, agreed: int) -> None:
        """The first `agreed` drafted tokens are the sequence's own, and so are their K and V. But those of an
        answer's last token are not: without a draft it is not computed, and a next turn may replace it."""
        assert self._speculation is not None, "drafted without speculation"
        self._speculation.accepted += agreed
        count = min(agreed, sequence.num_tokens - 1 - start)
        if count:
            self._paging.advance(sequence, count)
            self._counters.computed_tokens += count

    def _next(self, sequence: Sequence, answer: Answer) -> list[Token] | InputError:
        if self._observer is not None and isinstance(answer, np.ndarray):
            self._observer(sequence, answer)
        if forced := _forced(sequence):
            return forced
        if isinstance(answer, Token):
            return [answer]
        if isinstance(answer, InputError):
            return answer
        try:
            token = sample(
                answer,
                sequence.params,
                position=sequence.num_tokens,
                seed=sequence.seed,
                history=sequence.history,
            )
        except InputError as error:  # a grammar without a way out ends its own request, nobody else's
            return error
        return [token]

    def _accept(self, sequence: Sequence, tokens: list[Token]) -> list[Output]:
        """Append `tokens`, then whatever the grammar leaves no choice about."""
        outputs: list[Output] = []
        while tokens and sequence.finish is None:
            for token in tokens:
                outputs.append(self._append(sequence, token))
                if sequence.finish is not None:
                    break
            tokens = _forced(sequence)
        return outputs

    def _append(self, sequence: Sequence, token: Token) -> Output:
        params = sequence.params
        first = sequence.num_tokens == sequence.num_prompt
        sequence.append(token.id)
        self._counters.generated_tokens += 1
        if params.mask is not None:
            params.mask.advance([token.id])
        if token.id in params.stop_ids or (params.mask is not None and params.mask.finished):
            sequence.finish = "stop"
        elif sequence.num_tokens == sequence.capacity:
            sequence.finish = "length"
        if first:
            self._counters.cached_tokens += sequence.cached_tokens
        cached = sequence.cached_tokens if first else 0
        if sequence.finish is not None or cached:
            token = replace(token, finish=sequence.finish, cached=cached)
        return Output(sequence, token)


def _forced(sequence: Sequence) -> list[Token]:
    mask = sequence.params.mask
    return [] if mask is None or sequence.finish is not None else [Token(i) for i in mask.forced()]


def build_engine(
    config: ModelConfig,
    weights: Weights,
    numerics: Numerics,
    options: EngineOptions | None = None,
    *,
    observer: LogitsObserver | None = None,
) -> Engine:
    """An engine with its KV cache and model; raises ContextLengthError or MemoryLimitError where what
    `options` ask for is over the model's limit or over memory."""
    options = options or EngineOptions()
    kind = kv_kind(numerics, options.kv_cache)
    plan = plan_pools(
        options,
        full_bytes=block_bytes(config, kind, "full"),
        window_bytes=block_bytes(config, kind, "window"),
        sliding_window=config.sliding_window,
        model_context=config.max_position_embeddings,
        mapped_bytes=weights.mapped_bytes,
    )
    store = KVCache(config, kind, plan.full_blocks, plan.window_blocks)
    model = Transformer(
        config,
        weights,
        store,
        numerics,
        max_batch_tokens=options.max_batch_tokens,
        max_sequences=options.max_sequences,
        max_blocks=-(-plan.context_length // BLOCK),
        max_logit_rows=options.max_sequences * (1 + LONGEST_DRAFT if options.speculation else 1),
    )
    return Engine(
        model,
        store,
        plan,
        vocab_size=config.vocab_size,
        sliding_window=config.sliding_window,
        model_context=config.max_position_embeddings,
        options=options,
        observer=observer,
        disk=open_store(options.snapshots, config, numerics, kind, store.views)
        if options.snapshots
        else None,
        streamed=weights.streamed,
    )
