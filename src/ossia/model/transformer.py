"""The forward pass: gpt-oss as a list of kernel calls, recorded once per shape and run in one native call.

`_record` is the model. It runs no arithmetic: each line notes one op and the arrays it will read and write,
and `Program.run` carries them all out without the interpreter. Only the arrays' contents change from
step to step, so a decode step records nothing. What a row computes never depends on the rows beside it.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ossia.kernels.ops import (
    Program,
    attention,
    embed,
    gather_rows,
    linear,
    moe,
    rms_norm,
    rope_store,
    route,
)
from ossia.kernels.tensors import Activation
from ossia.model.batch import Batch, Ints
from ossia.model.config import ModelConfig
from ossia.model.head import Answer, Head
from ossia.model.kv_cache import KVCache, layer_group
from ossia.model.memory.pages import MappedRows
from ossia.model.rope import RopeTable
from ossia.model.sampling import Ask
from ossia.model.weights import Weights
from ossia.settings import Numerics

Floats = NDArray[np.float32]

PROGRAMS_KEPT = 128


class Transformer:
    """A model ready to run batches of up to `max_batch_tokens` tokens of `max_sequences` sequences.

    A sequence has `max_blocks` blocks at most. `max_logit_rows`: usual in a batch (None:
    one a sequence). Not to be shared by threads: the buffers are its own.
    """

    def __init__(
        self,
        config: ModelConfig,
        weights: Weights,
        kv: KVCache,
        numerics: Numerics,
        max_batch_tokens: int,
        max_sequences: int,
        max_blocks: int,
        max_logit_rows: int | None = None,
    ) -> None:
        self.config = config
        self.numerics: Numerics = numerics
        self._weights = weights
        self._kv = kv
        self._rope = RopeTable(config.rope, config.head_dim, config.max_position_embeddings)
        self._inputs = _Inputs.allocate(max_batch_tokens, max_sequences, max_blocks, config.head_dim)
        self._scratch = _Scratch.allocate(config, numerics, max_batch_tokens)
        self.head = Head(weights.unembedding, weights.screen, max_logit_rows or max_sequences)
        self._embedding_pages = MappedRows(weights.embedding)
        self._programs: OrderedDict[tuple[int, int], Program] = OrderedDict()

    def forward(self, batch: Batch) -> Floats:
        """Logits (n, V) of `batch.logit_rows`; K and V of all its tokens are in the cache afterwards.

        The result is a view, overwritten by the next call. Raises CheckpointError where experts that stream
        cannot be read.
        """
        n = batch.logit_rows.size
        self._run(batch, [None] * n)
        return self.head.logits(n)

    def sample(self, batch: Batch, asks: Sequence[Ask | None]) -> list[Answer]:
        """The same, but for each of `batch.logit_rows` what was asked: None for its logits, only lent too."""
        self._run(batch, asks)
        return self.head.answers(asks)

    def _run(self, batch: Batch, asks: Sequence[Ask | None]) -> None:
        t, n = batch.token_ids.size, batch.logit_rows.size
        assert n == len(asks), f"{len(asks)} questions about {n} rows"
        self._inputs.write(batch)
        self._rope.write(batch.positions, self._inputs.cos[:t], self._inputs.sin[:t])
        if self.head.ask(asks):
            self._programs.clear()
        self._run_program(self._program(t, n))
        self._embedding_pages.touched(t)

    def _run_program(self, program: Program) -> None:
        try:
            program.run()
        except OSError:
            streamed = self._weights.streamed
            if streamed is not None and (failure := streamed.failure()):
                raise failure from None
            raise

    def routing(self, tokens: int) -> Ints:
        """Experts (layers, tokens, K) that the first tokens of the last batch were sent to, best first."""
        return np.stack([ids[:tokens] for ids in self._scratch.experts])

    def _program(self, t: int, n: int) -> Program:
        program = self._programs.get((t, n))
        if program is None:
            program = self._programs[t, n] = self._record(t, n)
            if len(self._programs) > PROGRAMS_KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end((t, n))
        return program

    def _record(self, t: int, n: int) -> Program:
        c, inp, s, weights = self.config, self._inputs.head(t, n), self._scratch.head(t), self._weights
        eps, scale = c.rms_norm_eps, c.head_dim**-0.5
        cache = weights.streamed.cache if weights.streamed else None
        p = Program()
        embed(p, weights.embedding, inp.token_ids, s.x)  # (T, H)
        for i, (w, kv) in enumerate(zip(weights.layers, self._kv.layers, strict=True)):
            full = layer_group(c, i) == "full"
            slots, table = (inp.full_slots, inp.full_table) if full else (inp.window_slots, inp.window_table)
            window = 0 if full else c.sliding_window

            rms_norm(p, s.x, w.attention_norm, eps, s.hidden, None)
            linear(p, s.hidden, w.qkv, w.qkv_bias, s.qkv)  # (T, (Hq + 2 Hkv) D)
            rope_store(p, s.qkv, inp.cos, inp.sin, slots, kv, c.num_attention_heads)
            attention(
                p, s.qkv, kv, inp.positions, inp.rows, table, w.sinks, window, scale, s.heads
            )  # (T, Hq D)
            linear(p, s.heads, w.out, w.out_bias, s.x, accumulate=True)

            rms_norm(p, s.x, w.moe_norm, eps, s.hidden, s.normed)
            route(p, s.normed, w.router, w.router_bias, c.num_experts_per_tok, s.experts[i], s.shares)
            moe(
                p, s.hidden, s.experts[i], s.shares, w.gate_up, w.gate_up_bias, w.down, w.down_bias,
                c.swiglu_limit, c.swiglu_alpha, s.x, cache, i,
            )  # fmt: skip
        if n:
            last = self._scratch.head(n)  # hidden and normed are free again
            gather_rows(p, s.x, inp.logit_rows, last.normed)
            rms_norm(p, last.normed, weights.norm, eps, last.hidden, None)
            self.head.record(p, last.hidden)  # (n, V)
        return p


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What changes from batch to batch, at fixed addresses; see `Batch` for the meaning."""

    token_ids: Ints
    positions: Ints
    rows: Ints
    full_slots: Ints
    window_slots: Ints
    logit_rows: Ints
    full_table: Ints
    window_table: Ints
    cos: Floats
    sin: Floats

    @staticmethod
    def allocate(tokens: int, sequences: int, blocks: int, head_dim: int) -> "_Inputs":
        per_token = [np.zeros(tokens, np.int32) for _ in range(6)]
        tables = [np.full((sequences, blocks), -1, np.int32) for _ in range(2)]
        cos, sin = (np.zeros((tokens, head_dim // 2), np.float32) for _ in range(2))
        return _Inputs(*per_token, *tables, cos=cos, sin=sin)

    def write(self, batch: Batch) -> None:
        t, n, (s, b) = batch.token_ids.size, batch.logit_rows.size, batch.full_table.shape
        assert t <= self.token_ids.size, f"{t} tokens in a batch of at most {self.token_ids.size}"
        sequences, blocks = self.full_table.shape
        assert s <= sequences, f"{s} sequences in a batch of at most {sequences}"
        assert b <= blocks, f"tables of {b} blocks, at most {blocks}"
        self.token_ids[:t] = batch.token_ids
        self.positions[:t] = batch.positions
        self.rows[:t] = batch.rows
        self.full_slots[:t] = batch.full_slots
        self.window_slots[:t] = batch.window_slots
        self.logit_rows[:n] = batch.logit_rows
        self.full_table[:s, :b] = batch.full_table
        self.window_table[:s, :b] = batch.window_table

    def head(self, t: int, n: int) -> "_Inputs":
        """The first t tokens and n logit rows; the tables whole."""
        return _Inputs(
            self.token_ids[:t], self.positions[:t], self.rows[:t], self.full_slots[:t],
            self.window_slots[:t], self.logit_rows[:n], self.full_table, self.window_table,
            self.cos[:t], self.sin[:t],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Scratch:
    """What layers hand to one another: rows of the residual stream and of what is made of it."""

    x: Floats  # (T, H) residual stream
    normed: Floats  # (T, H)
    qkv: Floats  # (T, (Hq + 2 Hkv) D)
    hidden: Activation  # (T, H)
    heads: Activation  # (T, Hq D)
    experts: tuple[Ints, ...]  # per layer (T, K)
    shares: Floats  # (T, K)

    @staticmethod
    def allocate(c: ModelConfig, numerics: Numerics, tokens: int) -> "_Scratch":
        h, k = c.hidden_size, c.num_experts_per_tok
        return _Scratch(
            np.zeros((tokens, h), np.float32),
            np.zeros((tokens, h), np.float32),
            np.zeros((tokens, c.qkv_size), np.float32),
            Activation.empty(tokens, h, numerics),
            Activation.empty(tokens, c.num_attention_heads * c.head_dim, numerics),
            tuple(np.zeros((tokens, k), np.int32) for _ in range(c.num_hidden_layers)),
            np.zeros((tokens, k), np.float32),
        )

    def head(self, t: int) -> "_Scratch":
        """The first t rows."""
        return _Scratch(
            self.x[:t], self.normed[:t], self.qkv[:t], self.hidden.head(t), self.heads.head(t),
            tuple(e[:t] for e in self.experts), self.shares[:t],
        )  # fmt: skip
