"""Reasoning effort: the names clients use, and the three the model knows."""

from ossia.errors import InputError
from ossia.harmony.formats.fields import EFFORT_NAMES
from ossia.harmony.messages import Effort


def parse_effort(name: str) -> Effort:
    """Return the model's effort for any name in use (case is ignored); raises InputError for another."""
    if effort := EFFORT_NAMES.get(name.strip().lower()):
        return effort
    raise InputError(
        f"unknown effort {name!r}",
        value=name,
        limit=tuple(EFFORT_NAMES),
        remedy="Choose low, medium or high.",
    )
