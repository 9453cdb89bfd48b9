"""What a model looks like in lists, and what every choice of models can do."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from ossia.agent.model import Model
from ossia.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One installed model as lists show it; `created` in seconds since 1970, `size_bytes` on the disk.

    `expires_at`, of the one in memory: when it leaves it, in seconds since 1970, if nobody asks; None: stays.
    `format` of its files and its `config`, where they are known.
    """

    name: str
    created: int = 0
    size_bytes: int = 0
    source: str = ""
    context_length: int | None = None
    expires_at: float | None = None
    format: str = ""
    config: ModelConfig | None = None


class Models(Protocol):
    """Which models are installed, and which one is in memory."""

    def installed(self) -> list[ModelEntry]: ...

    def resident(self) -> ModelEntry | None:
        """The one in memory now."""
        ...

    def current(self) -> Model | None:
        """The same, to look at (its counters), not to ask: that needs a lease."""
        ...

    def loading(self) -> tuple[str, float] | None:
        """The name of the model that is being loaded, and which part of it is (0 to 1); None for none."""
        ...

    def resolve(self, name: str | None) -> str:
        """The name of the model that any spelling of it means, the default one for None; raises
        ModelNotFoundError."""
        ...

    def lease(self, name: str, keep_alive_s: float | None = None) -> AbstractAsyncContextManager[Model]:
        """The model in memory for as long as the block runs, loaded first where it is not. `name` as
        `resolve` gave it. `keep_alive_s`: how long it stays after the last lease, below 0 for ever, None for
        the server's own. Raises what loading raises. A lease inside a lease may wait for ever."""
        ...

    def unload(self, name: str) -> None:
        """Have it leave the memory as soon as nobody uses it; nothing where it is not there."""
        ...

    def drain(self) -> None:
        """Refuse who waits for a model, and give up a load under way; who has one keeps it."""
        ...

    async def close(self) -> None: ...
