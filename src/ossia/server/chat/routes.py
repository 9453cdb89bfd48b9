"""The routes of Chat Completions and the list of models."""

from starlette.routing import BaseRoute, Route

from ossia.server.chat.completions import Completions
from ossia.server.chat.models import ModelList
from ossia.server.service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The routes, over `service`."""
    completions, models = Completions(service), ModelList(service)
    return [
        Route("/v1/chat/completions", completions.create, methods=["POST"]),
        Route("/v1/models", models.list),
        Route("/v1/models/{name:path}", models.retrieve),
    ]
