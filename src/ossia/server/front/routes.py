"""Health and metrics: what a supervisor and a scraper ask."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ossia.backends.native import NativeBackend
from ossia.server.operations.metrics import CONTENT_TYPE, numbers
from ossia.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`, whose metrics show its queue and its model from now on."""
    service.metrics.watch(lambda: gauges(service))

    async def health(request: Request) -> Response:
        told = state(service)
        return JSONResponse(told, status_code=503 if told["status"] == "stopping" else 200)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return [Route("/health", health), Route("/metrics", metrics)]


def state(service: Service) -> dict[str, object]:
    """What the server is doing: `status` ok, loading or stopping; the model in memory; the queue."""
    loading, resident = service.models.loading(), service.models.resident()
    told: dict[str, object] = {
        "status": "stopping" if service.admission.closed else "loading" if loading else "ok",
        "model": None if resident is None else resident.name,
        "running": service.admission.running,
        "queued": service.admission.queued,
    }
    if loading is not None:
        told["loading"] = {"model": loading[0], "done": round(loading[1], 3)}
    return told


def gauges(service: Service) -> dict[str, float]:
    """The queue, whether a model is in memory, and the native engine's counters."""
    model = service.models.current()
    found = {
        "running": float(service.admission.running),
        "queued": float(service.admission.queued),
        "model_resident": float(model is not None),
    }
    if model is not None and isinstance(model.backend, NativeBackend):
        found |= numbers(model.backend.stats)
    return found
