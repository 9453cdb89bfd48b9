"""GET /v1/models: what is installed, in OpenAI's form."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ossia.server.models.entry import ModelEntry, Models
from ossia.server.service import Service


class ModelList:
    """The endpoints, over `service`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list(self, request: Request) -> Response:
        return JSONResponse(
            {"object": "list", "data": [_model(entry) for entry in _entries(self._service.models)]}
        )

    async def retrieve(self, request: Request) -> Response:
        """One model by any spelling of its name; raises ModelNotFoundError."""
        name = self._service.models.resolve(request.path_params["name"])
        entry = next((e for e in _entries(self._service.models) if e.name == name), ModelEntry(name))
        return JSONResponse(_model(entry))


def _entries(models: Models) -> list[ModelEntry]:
    """What is installed; of the model in memory its context is known too."""
    here = models.resident()
    return [here if here and here.name == entry.name else entry for entry in models.installed()]


def _model(entry: ModelEntry) -> dict[str, Any]:
    owner, _, name = entry.name.partition("/")
    return {
        "id": entry.name,
        "object": "model",
        "created": entry.created,
        "owned_by": owner if name else "ossia",
        "context_length": entry.context_length,
    }
