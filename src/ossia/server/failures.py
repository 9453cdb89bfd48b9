"""What went wrong, as an HTTP status and a body: the one place where errors become responses."""

from typing import Any

from ossia.errors import (
    ContextLengthError,
    EncryptedContentError,
    ForbiddenError,
    ModelNotFoundError,
    NotFoundError,
    OssiaError,
    OverloadedError,
    PreviousResponseError,
    UnauthorizedError,
)

_CODES: tuple[tuple[type[OssiaError], str], ...] = (
    (ContextLengthError, "context_length_exceeded"),
    (EncryptedContentError, "invalid_encrypted_content"),
    (PreviousResponseError, "previous_response_not_found"),
    (ModelNotFoundError, "model_not_found"),
    (UnauthorizedError, "invalid_api_key"),
    (OverloadedError, "rate_limit_exceeded"),
    (NotFoundError, "not_found"),
    (ForbiddenError, "forbidden"),
)


def openai_error(error: OssiaError) -> dict[str, Any]:
    """The body of an error as OpenAI's clients read it: message, type, param and code."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), None)
    return {"error": {"message": _text(error), "type": _type(error), "param": error.param, "code": code}}


def ollama_error(error: OssiaError) -> dict[str, Any]:
    """The same for Ollama's clients."""
    return {"error": _text(error)}


def headers_of(error: OssiaError) -> dict[str, str]:
    """Headers that go with an error."""
    if isinstance(error, OverloadedError):
        return {"Retry-After": str(error.retry_after_s)}
    return {"WWW-Authenticate": "Bearer"} if isinstance(error, UnauthorizedError) else {}


def _text(error: OssiaError) -> str:
    sentence = error.message if error.message.endswith((".", "!", "?")) else f"{error.message}."
    return f"{sentence} {error.remedy}" if error.remedy else error.message


def _type(error: OssiaError) -> str:
    status = error.http_status
    if status == 401:
        return "authentication_error"
    if status == 403:
        return "permission_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"
