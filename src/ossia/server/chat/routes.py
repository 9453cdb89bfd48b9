"""The routes of Chat Completions and the list of models."""

from starlette.routing import BaseRoute

from ossia.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""
    return []
