"""Who asks, and what of theirs is kept apart."""

from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from ossia.server.operations.record import Record


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `owner` is "" where no key is needed; one owner never sees what another stored.

    `sees_reasoning`: whether the raw chain of thought may be shown to them. `at_once`: how many of their
    requests may be under way, None for no limit of their own. `record`: this request's account.
    """

    owner: str = ""
    sees_reasoning: bool = True
    at_once: int | None = None
    record: Record = field(default_factory=Record, compare=False, repr=False)


def caller_of(connection: HTTPConnection) -> Caller:
    """Who asks, as the middleware found them."""
    return getattr(connection.state, "caller", None) or Caller()
