"""One model that is open already, and stays so: a cluster's, or a test's."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from ossia.agent.model import Model
from ossia.errors import ModelNotFoundError
from ossia.hub.names import canonical
from ossia.server.models.entry import ModelEntry


class FixedModel:
    """The `Models` of a server with one open model, which belongs to it from now on."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._entry = ModelEntry(model.card.name, context_length=model.backend.context_length)

    def installed(self) -> list[ModelEntry]:
        return [self._entry]

    def resident(self) -> ModelEntry | None:
        return self._entry

    def current(self) -> Model | None:
        return self._model

    def loading(self) -> tuple[str, float] | None:
        return None

    def resolve(self, name: str | None) -> str:
        if not name or canonical(name) == canonical(self._entry.name):
            return self._entry.name
        raise ModelNotFoundError(
            f"the model {name!r} is not served here",
            value=name,
            limit=[self._entry.name],
            remedy=f"Ask for {self._entry.name}.",
        )

    def lease(self, name: str, keep_alive_s: float | None = None) -> AbstractAsyncContextManager[Model]:
        return self._hold()

    def unload(self, name: str) -> None:
        """It stays: nobody could load it again."""

    def drain(self) -> None:
        """Nobody waits for it."""

    async def close(self) -> None:
        await self._model.aclose()

    @asynccontextmanager
    async def _hold(self) -> AsyncGenerator[Model, None]:
        yield self._model
