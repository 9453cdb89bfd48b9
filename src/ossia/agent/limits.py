"""How far one answer may go: turns, tokens, reasoning, seconds, and repeating itself."""

from dataclasses import dataclass

from ossia.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one answer, from the question to its final, tool calls included.

    `turns`: times the model may be sampled. `tokens`: tokens it may write in all. `seconds`: wall time.
    `reasoning_tokens`: of the chain of thought, which is then closed and answered from; 0 for none.
    `repetition`: whether an answer that only repeats itself is ended (see `agent.repetition`).
    Raises InputError for a value that is not positive, and for reasoning below 0.
    """

    turns: int = 16
    tokens: int | None = None
    seconds: float | None = None
    reasoning_tokens: int | None = None
    repetition: bool = True

    def __post_init__(self) -> None:
        for name, value in (("turns", self.turns), ("tokens", self.tokens), ("seconds", self.seconds)):
            if value is not None and not value > 0:  # False for NaN too
                raise _beyond(name, value, "above 0")
        if self.reasoning_tokens is not None and not self.reasoning_tokens >= 0:
            raise _beyond("reasoning_tokens", self.reasoning_tokens, "0 or more")


def _beyond(name: str, value: float, limit: str) -> InputError:
    return InputError(
        f"the limit of {name} is {value!r}, but must be {limit}",
        value=value,
        limit=limit,
        remedy=f"Choose more {name}, or None for no limit.",
    )
