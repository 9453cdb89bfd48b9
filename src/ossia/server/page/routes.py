"""The page at ``/`` and its parts, served from the package; what Ollama's clients ask of ``/`` beside it.

The page loads nothing from elsewhere, and its Content-Security-Policy sees to that.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ossia.server.service import Service

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
RUNNING = "Ollama is running"
"""What Ollama's clients look for at ``/`` to know that a server of theirs is there."""


def routes(service: Service) -> list[BaseRoute]:
    """The routes; the page itself speaks to the Responses API."""
    files = {path.name: path for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in _TYPES}
    index = _file(files.pop("index.html"))

    async def root(request: Request) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return await index(request)
        return PlainTextResponse(RUNNING, headers={"Vary": "Accept"})

    return [
        Route("/", root, methods=["GET"]),
        *(Route(f"/page/{name}", _file(path), methods=["GET"]) for name, path in files.items()),
    ]


def _file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    content, kind = path.read_bytes(), _TYPES[path.suffix]
    headers = {**_HEADERS, "Vary": "Accept"} if path.suffix == ".html" else _HEADERS

    async def serve(request: Request) -> Response:
        return Response(content, media_type=kind, headers=headers)

    return serve
