"""What vLLM's refusals mean: a status, as HTTP's or inside a stream, and the server's own words."""

import re
from collections.abc import Mapping
from typing import Any, cast

from ossia.errors import BackendError, ContextLengthError, InputError, OssiaError, OverloadedError

_RETRY_S = 5
_TOO_LONG = re.compile(r"maximum context length|max_model_len", re.IGNORECASE)


def refusal(status: object, said: str, retry_after: str | None = None) -> OssiaError:
    """The error that `status` and the words are: ContextLengthError, InputError, OverloadedError (with when
    to ask again) or BackendError."""
    if status in (429, 503):
        return OverloadedError(
            f"the vLLM server is busy: {said}",
            value=status,
            remedy="Try again later.",
            retry_after_s=_seconds(retry_after),
        )
    if status in (400, 413, 422):
        return _fault_of_the_request(said)
    remedy = "Give the API key it expects." if status in (401, 403) else "The server's log says more."
    return BackendError(f"the vLLM server failed with {status}: {said}", value=status, remedy=remedy)


def error_message(value: Mapping[str, Any]) -> str:
    """What an error's body says, in either of the shapes vLLM has had."""
    return str(_fields(value).get("message") or value.get("error") or value)


def error_code(value: Mapping[str, Any]) -> object:
    """Its status, where it tells one."""
    return _fields(value).get("code")


def _fields(value: Mapping[str, Any]) -> Mapping[str, Any]:
    error = value.get("error")
    return cast(Mapping[str, Any], error) if isinstance(error, dict) else value


def _fault_of_the_request(said: str) -> InputError:
    if not _TOO_LONG.search(said):
        return InputError(f"the vLLM server refuses the request: {said}", value=said)
    numbers = sorted(map(int, re.findall(r"\d+", said)[:2]))  # the limit and what is beyond it
    return ContextLengthError(
        f"the vLLM server refuses the prompt: {said}",
        value=numbers[-1] if numbers else None,
        limit=numbers[0] if numbers else None,
        remedy="Shorten the conversation or ask for a shorter answer.",
    )


def _seconds(header: str | None) -> int:
    """When to ask again; a date instead of seconds counts as not said."""
    return max(int(header), 1) if header is not None and header.isdecimal() else _RETRY_S
