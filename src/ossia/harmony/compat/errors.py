"""What the compatible API raises: openai-harmony's exceptions, which are Ossia's as well."""

from collections.abc import Generator
from contextlib import contextmanager

from ossia.errors import InputError


class HarmonyError(InputError, RuntimeError):
    """Something that cannot be rendered, encoded, decoded or (strictly) parsed; a RuntimeError, as there."""


class UnknownEncodingError(InputError, ValueError):
    """No encoding has that name; a ValueError, as there."""


@contextmanager
def as_harmony_error() -> Generator[None]:
    """Raise what Ossia's rooms refuse under the name that users of openai-harmony catch."""
    try:
        yield
    except HarmonyError:
        raise
    except InputError as cause:
        raise HarmonyError(
            cause.message, value=cause.value, limit=cause.limit, remedy=cause.remedy
        ) from cause
