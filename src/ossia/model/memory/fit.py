"""Whether a model fits into memory, and how a limit is divided where not all of its experts do.

Everything but the experts is planned first. What is left holds as many experts as it can; the others are read
from the disk when a token asks for them. Plans come from the config alone; nothing is read here.
"""

import math
from dataclasses import dataclass
from typing import Literal

import psutil

from ossia.errors import MemoryLimitError
from ossia.kernels.experts import slot_bytes
from ossia.model.config import ModelConfig
from ossia.model.memory.available import available_memory
from ossia.model.plan import MemoryPlan

Fit = Literal["fits", "tight", "too large"]

GIB = 1 << 30
_STEP = GIB // 10  # limits are offered in tenths of a GiB
_LATER = 288 << 20  # what a process takes besides: tokenizer, grammar, buffers, page cache of what it reads


@dataclass(frozen=True, slots=True)
class Division:
    """How a limit of memory is divided, in bytes: `rest` is everything but the experts.

    `slots`: experts that find room, of `experts` in all; `slot_bytes`: memory of one.
    """

    limit: int
    rest: int
    experts: int
    slots: int
    slot_bytes: int

    @property
    def whole(self) -> bool:
        """Whether all experts fit, so that nothing needs to be streamed."""
        return self.slots >= self.experts


def part_bytes(config: ModelConfig) -> tuple[int, int, int, int]:
    """Bytes of one MXFP4 expert: gate_up's blocks and scales, down's blocks and scales."""
    gate_up = 2 * config.intermediate_size * config.hidden_size // 32
    down = config.hidden_size * config.intermediate_size // 32
    return 16 * gate_up, gate_up, 16 * down, down


def fit(plan: MemoryPlan, config: ModelConfig, available: int, *, mapped: bool = True) -> Fit:
    """Whether `plan` fits into `available` bytes; "tight" where it does with some experts left on the disk.

    Embedding rows stay in the file and are let go of, so they do not count. `mapped` false, for GGUF: experts
    and embedding are rearranged into memory of our own, and cannot be left on the disk.
    """
    if needed(plan, mapped=mapped) <= available:
        return "fits"
    return "tight" if can_stream(config, mapped) and smallest(plan, config) <= available else "too large"


def needed(plan: MemoryPlan, *, mapped: bool = True) -> int:
    """Bytes of memory that `plan` takes with all experts in it."""
    return plan.total - (plan.embedding if mapped else 0)


def can_stream(config: ModelConfig, mapped: bool) -> bool:
    """Whether experts can be left on the disk: MXFP4 in safetensors only."""
    return mapped and config.quantization == "mxfp4"


def smallest(plan: MemoryPlan, config: ModelConfig) -> int:
    """The smallest limit that works, in bytes: everything else, and the experts of one layer."""
    return _rest(plan) + config.num_local_experts * slot_bytes(part_bytes(config))


def largest_offer(plan: MemoryPlan, config: ModelConfig, available: int) -> str | None:
    """The largest limit that fits into `available`, as it is given: "7.5GiB"; None where none does."""
    limit = available // _STEP * _STEP
    return as_option(limit) if smallest(plan, config) <= limit else None


def as_option(size: int) -> str:
    """`size` bytes as one writes them for ``--max-memory``, rounded up to a tenth of a GiB."""
    return f"{math.ceil(size / _STEP) / 10:.1f}GiB"


def divide(name: str, limit: int, plan: MemoryPlan, config: ModelConfig, *, mapped: bool = True) -> Division:
    """Divide `limit` bytes; raises MemoryLimitError naming the smallest that works."""
    every = config.num_hidden_layers * config.num_local_experts
    slot = slot_bytes(part_bytes(config))
    if not can_stream(config, mapped):
        if needed(plan, mapped=mapped) > limit:
            raise _too_small(
                name, limit, needed(plan, mapped=mapped), "all of it (its experts cannot be streamed)"
            )
        return Division(limit, limit, every, every, slot)
    if limit < (least := smallest(plan, config)):
        raise _too_small(name, limit, least, "with the experts of one layer in memory")
    rest = _rest(plan)
    return Division(limit, rest, every, min(every, (limit - rest) // slot), slot)


def require_memory(name: str, plan: MemoryPlan, config: ModelConfig, *, mapped: bool = True) -> None:
    """Raise MemoryLimitError, before loading anything, where not all of a model fits into available memory.

    The remedy is the largest limit with which it runs nevertheless.
    """
    available = available_memory()
    if fit(plan, config, available, mapped=mapped) == "fits":
        return
    offer = largest_offer(plan, config, available) if can_stream(config, mapped) else None
    least = needed(plan, mapped=mapped)
    other = "Close other programs, ask for a smaller context, or use a smaller model, for example pocket."
    stream = (
        f"Run it with --max-memory {offer} (in Python max_memory={offer!r}): the experts asked for most stay"
        " in memory, the others are read from the disk. Or close other programs."
    )
    raise MemoryLimitError(
        f"{name} needs at least {_gb(least)} of memory, {_gb(available)} are available",
        value=least,
        limit=available,
        remedy=other if offer is None else stream,
    )


def _rest(plan: MemoryPlan) -> int:
    """Everything but experts, this process as it is included."""
    own = plan.dense + plan.kv_full + plan.kv_window + plan.activations + plan.logits
    return own + psutil.Process().memory_info().rss + _LATER


def _too_small(name: str, limit: int, least: int, with_what: str) -> MemoryLimitError:
    return MemoryLimitError(
        f"{name} does not run in {limit / GIB:.2f} GiB of memory: it needs {as_option(least)}, {with_what}",
        value=limit,
        limit=least,
        remedy=f"Give it --max-memory {as_option(least)} or more, or ask for a smaller context.",
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
