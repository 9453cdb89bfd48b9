"""How far one answer may go: turns, tokens, seconds."""

from dataclasses import dataclass

from ossia.errors import InputError


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one answer, from the question to its final, tool calls included.

    `turns`: times the model may be sampled. `tokens`: tokens it may write in all. `seconds`: wall time.
    Raises InputError for a value that is not positive.
    """

    turns: int = 16
    tokens: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("turns", self.turns), ("tokens", self.tokens), ("seconds", self.seconds)):
            if value is not None and not value > 0:  # False for NaN too
                raise InputError(
                    f"the limit of {name} is {value!r}, but must be above 0",
                    value=value,
                    limit="above 0",
                    remedy=f"Choose more {name}, or None for no limit.",
                )
