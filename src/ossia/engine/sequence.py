"""One request inside the engine: its tokens, how far they are computed, and where their K and V lie.

A sequence is `waiting` (holds no blocks), `running` or `finished` (holds none again). Everything the
result depends on survives a preemption: tokens, seed, the penalties' history and the grammar's state.
"""

from collections.abc import Sequence as Row
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ossia.engine.lookup import Drafter
from ossia.errors import ContextLengthError, InputError
from ossia.model.sampling import Finish, PromptProgress, SamplingParams, TokenHistory

Ids = Row[int] | NDArray[np.int32]
Status = Literal["waiting", "running", "finished"]
NO_BLOCK = -1


@dataclass(eq=False, slots=True)
class Sequence:
    """What the engine knows of one request; made by `new_sequence`, written only by the engine.

    `token_ids` int32 (capacity,): prompt, then answer; the first `num_tokens` are known, of which K and V
    of the first `num_computed` are in the cache. `full_table` and `window_table` int32: pool block of the
    sequence's i-th block of tokens, `num_blocks` of them; window blocks before `window_start` were let go.
    """

    arrival: int
    params: SamplingParams
    seed: int
    num_prompt: int
    token_ids: NDArray[np.int32] = field(repr=False)
    full_table: NDArray[np.int32] = field(repr=False)
    window_table: NDArray[np.int32] = field(repr=False)
    num_tokens: int
    history: TokenHistory = field(default_factory=TokenHistory)  # kept where penalties need it
    num_computed: int = 0
    num_blocks: int = 0
    window_start: int = 0
    status: Status = "waiting"
    finish: Finish | None = None
    cached_tokens: int = 0  # prompt tokens taken from the prefix cache
    admitted: bool = False
    stored: int = 0  # prompt tokens that a snapshot on disk has
    store_prompt: bool = False  # whether more of them shall come there
    preemptions: int = 0
    drafter: Drafter | None = field(default=None, repr=False)  # where drafts are made

    @property
    def capacity(self) -> int:
        """Prompt and answer tokens together, at most."""
        return self.token_ids.size

    @property
    def pending(self) -> int:
        """Known tokens whose K and V are still to be computed."""
        return self.num_tokens - self.num_computed

    @property
    def reading(self) -> PromptProgress | None:
        """How far the prompt is computed; None where nobody asked, and once there is an answer (computed
        again after a preemption)."""
        if not self.params.progress or self.num_tokens > self.num_prompt:
            return None
        return PromptProgress(self.num_computed, self.num_prompt)

    @property
    def prompt_ids(self) -> list[int]:
        return self.token_ids[: self.num_prompt].tolist()

    @property
    def output_ids(self) -> list[int]:
        """What was answered so far."""
        return self.token_ids[self.num_prompt : self.num_tokens].tolist()

    def append(self, token: int) -> None:
        """One more token of the answer."""
        assert self.num_tokens < self.capacity, f"a sequence of {self.capacity} tokens was given one more"
        self.token_ids[self.num_tokens] = token
        self.num_tokens += 1
        self.history.append(token)
        if self.drafter is not None:
            self.drafter.follow()


def checked_prompt(prompt_ids: Ids, vocab_size: int) -> NDArray[np.int32]:
    """The prompt as int32 (n,); raises InputError where it is empty or not all ids of the vocabulary."""
    if len(prompt_ids) == 0:
        raise InputError("the prompt is empty", value=0, limit=1, remedy="Give at least one token.")
    try:
        ids = np.asarray(prompt_ids)
    except ValueError:  # lists of different lengths in a list
        ids = np.empty(0)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError("a prompt is a flat list of token ids", value=ids.dtype.name, limit="integers")
    if (wrong := ids[(ids < 0) | (ids >= vocab_size)]).size:
        raise InputError(
            f"token id {wrong[0]} is not in the vocabulary of {vocab_size:,}",
            value=int(wrong[0]),
            limit=vocab_size,
            remedy="The prompt was made with another tokenizer.",
        )
    return ids.astype(np.int32)


def check_length(prompt: int, max_tokens: int | None, *, context_length: int, model_context: int) -> None:
    """Raise ContextLengthError where `prompt` tokens and the answer's (one where None) are more than
    `context_length`; `model_context` says whether the model or the memory is to blame."""
    answer = 1 if max_tokens is None else max_tokens
    if prompt + answer <= context_length:
        return
    of_model = prompt + answer > model_context
    limit = model_context if of_model else context_length
    whose = "the context is" if of_model else "the memory set aside for the KV cache holds"
    raise ContextLengthError(
        f"{prompt:,} prompt tokens and {answer:,} for the answer make {prompt + answer:,},"
        f" and {whose} {limit:,}",
        value=prompt + answer,
        limit=limit,
        remedy="Shorten the conversation or ask for a shorter answer."
        if of_model
        else "Shorten the conversation, or give the KV cache more memory.",
    )


def new_sequence(
    prompt_ids: NDArray[np.int32],
    params: SamplingParams,
    *,
    capacity: int,
    seed: int,
    arrival: int,
    block: int,
) -> Sequence:
    """A waiting sequence of at most `capacity` tokens, paged in blocks of `block`."""
    assert 1 <= prompt_ids.size < capacity, f"{prompt_ids.size} prompt tokens in a capacity of {capacity}"
    token_ids = np.empty(capacity, np.int32)
    token_ids[: prompt_ids.size] = prompt_ids
    blocks = -(-capacity // block)
    return Sequence(
        arrival=arrival,
        params=params,
        seed=seed,
        num_prompt=prompt_ids.size,
        token_ids=token_ids,
        full_table=np.full(blocks, NO_BLOCK, np.int32),
        window_table=np.full(blocks, NO_BLOCK, np.int32),
        num_tokens=prompt_ids.size,
        history=TokenHistory(prompt_ids.tolist() if params.has_penalties else ()),
    )
