"""Ollama's spelling of models' names: ``gpt-oss:20b`` for openai/gpt-oss-20b, a tag on every one."""

import re

from ossia.errors import ModelNotFoundError
from ossia.hub.names import canonical
from ossia.server.models.entry import Models

_PUBLISHED = re.compile(r"openai/(gpt-oss(?:-safeguard)?)-(20b|120b)")
_LATEST = ":latest"


def spelled(name: str) -> str:
    """A model's name as Ollama's clients expect it: a name and a tag.

    >>> spelled("openai/gpt-oss-20b"), spelled("pocket")
    ('gpt-oss:20b', 'pocket:latest')
    """
    if match := _PUBLISHED.fullmatch(name):
        return f"{match[1]}:{match[2]}"
    return f"{name}{_LATEST}"


def resolved(models: Models, name: str) -> str:
    """The model that a client means; raises ModelNotFoundError in Ollama's words, by which clients know that
    they should pull it."""
    known = canonical(name)
    try:
        return models.resolve(known.removesuffix(_LATEST) if known == name else known)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"model '{name}' not found", value=name, limit=error.limit, remedy=error.remedy
        ) from None
