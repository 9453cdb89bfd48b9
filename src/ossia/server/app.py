"""The application: every dialect's routes behind the gate, health and metrics, and errors as responses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from ossia.errors import NotFoundError, OssiaError
from ossia.server.chat.routes import routes as chat_routes
from ossia.server.failures import headers_of, ollama_error, openai_error
from ossia.server.front.gate import REQUEST_ID, Access, Gate
from ossia.server.front.routes import routes as operations_routes
from ossia.server.ollama.routes import routes as ollama_routes
from ossia.server.openapi.document import routes as document_routes
from ossia.server.page.routes import routes as page_routes
from ossia.server.responses.state.routes import routes as responses_routes
from ossia.server.service import Service

_ROOMS = (
    operations_routes,
    document_routes,
    responses_routes,
    chat_routes,
    ollama_routes,
    page_routes,
)


def build_app(service: Service, access: Access | None = None) -> Starlette:
    """The ASGI application over `service`, which belongs to it: it is closed when the server stops.
    `access`: who may pass; without it everybody."""
    access = access or Access()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        yield
        await service.close()

    routes: list[BaseRoute] = []
    for room in _ROOMS:
        routes += room(service)
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[*_cors(access.origins), Middleware(Gate, service=service, access=access)],
        exception_handlers={
            OssiaError: _refuse,
            HTTPException: _refuse_http,
            ClientDisconnect: _left,
            Exception: _fail,
        },
    )


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    """Tells browsers which other origins' pages may call; nothing where none may."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=[REQUEST_ID, "retry-after"],
        )
    ]


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, OssiaError), "registered for these alone"
    body = ollama_error(error) if request.url.path.startswith("/api/") else openai_error(error)
    return JSONResponse(body, status_code=error.http_status, headers=headers_of(error))


def _refuse_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these alone"
    told = NotFoundError(f"{request.method} {request.url.path}: {error.detail}")
    response = _refuse(request, told)
    response.status_code = error.status_code
    return response


def _left(request: Request, error: Exception) -> Response:
    """Who asked was gone before the request was complete; nobody reads this, but the log has its status."""
    return Response(status_code=499)


def _fail(request: Request, error: Exception) -> Response:
    """A fault of ours: say so, and no more; the server's log has the rest."""
    told = OssiaError("the server made a mistake", remedy="Its log says which.")
    told.http_status = 500
    return _refuse(request, told)
