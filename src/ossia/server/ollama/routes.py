"""The routes of Ollama's API."""

from starlette.routing import BaseRoute

from ossia.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""
    return []
