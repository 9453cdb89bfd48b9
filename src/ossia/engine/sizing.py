"""How many blocks the two pools get: from a number of bytes, or from what this machine can spare.

The pools are set aside as address space; pages that are never written cost nothing.
"""

from dataclasses import dataclass

from ossia.engine.paging import window_blocks_needed
from ossia.engine.snapshots import SnapshotOptions
from ossia.errors import ContextLengthError, InputError, MemoryLimitError
from ossia.model.kv_cache import BLOCK
from ossia.model.memory.available import available_memory
from ossia.settings import KVKind

GIB = 1 << 30
_SHARE_OF_SPARE = 0.5  # of the memory that is available and not needed by mapped weights
_LEAST_SPARE = 0.125  # of what is available: where weights alone fill the memory, they give way a little
_OTHERS_CONTEXT = 8192  # tokens meant for each sequence beside the longest one
_SNAPSHOTS = 64  # prefixes meant to stay resumable when all sequences run


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How much an engine takes on; raises InputError for impossible values.

    `max_batch_tokens`: tokens computed in one step. `max_chunk`: most of them from one sequence (None: no
    limit of its own). `max_context`: prompt + answer, at most (None: the model's limit, or what memory
    allows). `kv_bytes`: size of the KV cache (None: up to half of the memory to spare). `kv_cache`: what it
    holds (None: what goes with the numerics); "int8" takes half the room of 16 bits. `snapshots`: where
    prefixes outlive the process (None: nowhere). `speculation`: whether what text repeats is guessed and
    verified several tokens at a time. None of these but `kv_cache` changes a result,
    only when it comes.
    """

    max_batch_tokens: int = 512
    max_sequences: int = 8
    max_context: int | None = None
    kv_bytes: int | None = None
    kv_cache: KVKind | None = None
    snapshot_every: int = 1024
    prefix_cache: bool = True
    max_chunk: int | None = None
    snapshots: SnapshotOptions | None = None
    speculation: bool = True

    def __post_init__(self) -> None:
        for name in ("max_batch_tokens", "max_sequences", "max_context", "snapshot_every", "max_chunk"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}", value=value, limit=1, remedy=f"Give a {name} ≥ 1.")
        if self.max_batch_tokens < self.max_sequences:
            raise InputError(
                f"max_batch_tokens is {self.max_batch_tokens}, less than max_sequences {self.max_sequences}",
                value=self.max_batch_tokens,
                limit=self.max_sequences,
                remedy="Every running sequence needs a token a step: raise one or lower the other.",
            )


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Blocks of the two pools, the bytes they take, and the longest context they can hold, in tokens."""

    full_blocks: int
    window_blocks: int
    size_bytes: int
    context_length: int


def plan_pools(
    options: EngineOptions,
    *,
    full_bytes: int,
    window_bytes: int,
    sliding_window: int,
    model_context: int,
    mapped_bytes: int = 0,
    available_bytes: int | None = None,
) -> PoolPlan:
    """Divide the memory between the groups; `full_bytes` and `window_bytes` are one block's.

    `available_bytes`: what the system can give (None: ask it), of which `mapped_bytes` of weights, counted as
    available because the system could drop them, should rather stay. Raises ContextLengthError where
    `max_context` is over the model's limit, MemoryLimitError where memory does not suffice.
    """
    if options.max_context is not None and options.max_context > model_context:
        raise ContextLengthError(
            f"a context of {options.max_context:,} tokens was asked for,"
            f" the model's limit is {model_context:,}",
            value=options.max_context,
            limit=model_context,
            remedy=f"Choose a context up to {model_context:,} tokens.",
        )
    available = available_memory() if available_bytes is None else available_bytes
    context = options.max_context or model_context
    block = full_bytes, window_bytes
    needed = _least(options, context, sliding_window)
    wanted = _wanted(options, context, sliding_window)
    budget = _budget(options, _cost(needed, block), _cost(wanted, block), available, mapped_bytes)
    served = options.max_sequences * window_blocks_needed(sliding_window)
    full, window = _divide(budget, block, wanted, served)
    if full < needed[0]:
        full, window = needed[0], min(window, (budget - needed[0] * full_bytes) // max(1, window_bytes))
    window = min(full, max(window, needed[1]))
    cost = _cost((full, window), block)
    if cost > budget:
        raise _too_little(options, cost, budget, available)
    return PoolPlan(full, window, cost, min(context, full * BLOCK))


def _least(options: EngineOptions, context: int, sliding_window: int) -> tuple[int, int]:
    """Blocks without which nothing runs: one sequence of the context asked for, or of one block."""
    full = -(-context // BLOCK) if options.max_context is not None else 1
    return full, min(full, window_blocks_needed(sliding_window))


def _wanted(options: EngineOptions, context: int, sliding_window: int) -> tuple[int, int]:
    """Blocks with which everybody is well served: one long sequence, others of middling length."""
    longest = -(-context // BLOCK)
    others = (options.max_sequences - 1) * min(longest, _OTHERS_CONTEXT // BLOCK)
    window = window_blocks_needed(sliding_window)
    steps = -(-options.max_batch_tokens // BLOCK) + options.max_sequences
    return longest + others, min(longest + others, (options.max_sequences + _SNAPSHOTS) * window + steps)


def _divide(
    budget: int, block_bytes: tuple[int, int], wanted: tuple[int, int], served: int
) -> tuple[int, int]:
    """Blocks as in `wanted`, in proportion; where memory is short, first a window for each of the sequences
    (`served` blocks) that half of it can pay for. A group without layers costs nothing."""
    window = int(wanted[1] * budget / max(1, _cost(wanted, block_bytes)))
    window = max(window, min(served, budget // 2 // max(1, block_bytes[1])))
    if block_bytes[0] == 0:
        return wanted[0], window
    return (budget - window * block_bytes[1]) // block_bytes[0], window


def _cost(blocks: tuple[int, int], block_bytes: tuple[int, int]) -> int:
    return blocks[0] * block_bytes[0] + blocks[1] * block_bytes[1]


def _budget(options: EngineOptions, needed: int, wanted: int, available: int, mapped: int) -> int:
    """Bytes to spend: what was given, else a share of what can be spared, or more if nothing runs with it."""
    if options.kv_bytes is None:
        spare = max(available - mapped, int(available * _LEAST_SPARE))
        return min(wanted, max(int(spare * _SHARE_OF_SPARE), min(needed, available)))
    if options.kv_bytes > available:
        raise _too_little(options, options.kv_bytes, available, available)
    return options.kv_bytes


def _too_little(options: EngineOptions, cost: int, budget: int, available: int) -> MemoryLimitError:
    asked = f"a context of {options.max_context:,} tokens" if options.max_context else "the KV cache"
    return MemoryLimitError(
        f"{asked} needs {cost / GIB:.2f} GiB, and {budget / GIB:.2f} GiB can be had"
        f" ({available / GIB:.2f} GiB are available)",
        value=cost,
        limit=budget,
        remedy="Ask for a smaller context, close other programs, or give the KV cache more memory.",
    )
