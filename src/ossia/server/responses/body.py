"""The response object: every field its clients read, whether or not there is something in it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ossia.agent.events import Usage
from ossia.harmony.grammar import JsonObject, JsonSchema
from ossia.server.responses.request import ResponseRequest

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


def response_body(
    request: ResponseRequest,
    response_id: str,
    created_at: int,
    status: Status,
    *,
    output: Sequence[Mapping[str, Any]] = (),
    usage: Usage | None = None,
    error: Mapping[str, Any] | None = None,
    incomplete: str | None = None,
    completed_at: int | None = None,
) -> dict[str, Any]:
    """The response to `request` at one moment; times in seconds since 1970.

    `incomplete` is the reason it is, `error` the code and message of what went wrong.
    """
    return {
        "id": response_id,
        "object": "response",
        "created_at": created_at,
        "status": status,
        "background": request.background,
        "completed_at": completed_at,
        "error": error,
        "incomplete_details": None if incomplete is None else {"reason": incomplete},
        "model": request.model,
        "output": list(output),
        "usage": None if usage is None else usage_body(usage),
        **_asked(request),
    }


def usage_body(usage: Usage) -> dict[str, Any]:
    """What an answer cost, as clients count it."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }


def _asked(request: ResponseRequest) -> dict[str, Any]:
    """What was asked for, as it was said; defaults where nothing was."""
    fields = request.fields
    return {
        "instructions": fields.get("instructions"),
        "max_output_tokens": _whole(request, "max_output_tokens"),
        "max_tool_calls": _whole(request, "max_tool_calls"),
        "metadata": fields.get("metadata") or {},
        "parallel_tool_calls": fields.get("parallel_tool_calls", True),
        "previous_response_id": fields.get("previous_response_id"),
        "conversation": _conversation(fields.get("conversation")),
        "prompt_cache_key": fields.get("prompt_cache_key"),
        "reasoning": _reasoning(fields.get("reasoning") or {}),
        "safety_identifier": fields.get("safety_identifier"),
        "service_tier": "default",
        "store": request.store,
        "temperature": _number(request, "temperature", 1.0),
        "top_p": _number(request, "top_p", 1.0),
        "presence_penalty": _number(request, "presence_penalty", 0.0),
        "frequency_penalty": _number(request, "frequency_penalty", 0.0),
        "top_logprobs": _whole(request, "top_logprobs") or 0,
        "text": _text(request),
        "tool_choice": fields.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in request.declared.specs],
        "truncation": fields.get("truncation", "disabled"),
        "user": fields.get("user"),
    }


def _number(request: ResponseRequest, name: str, default: float) -> float:
    value = request.number(name)
    return default if value is None else value


def _whole(request: ResponseRequest, name: str) -> int | None:
    value = request.number(name)
    return None if value is None else int(value)


def _conversation(value: object) -> object:
    """A conversation is asked for by its id, or in an object with it."""
    return {"id": value} if isinstance(value, str) else value


def _reasoning(asked: Mapping[str, Any]) -> dict[str, Any]:
    summary = asked.get("summary") or asked.get("generate_summary")
    return {"effort": asked.get("effort") or "medium", "summary": summary}


def _text(request: ResponseRequest) -> dict[str, Any]:
    asked: Mapping[str, Any] = request.fields.get("text") or {}
    return {"format": _format(request, asked.get("format")), "verbosity": asked.get("verbosity") or "medium"}


def _format(request: ResponseRequest, asked: Any) -> dict[str, Any]:
    match request.response_format:
        case JsonObject():
            return {"type": "json_object"}
        case JsonSchema(schema, name):
            told = asked.get("json_schema") or asked
            named = {"type": "json_schema", "name": name, "schema": schema}
            return {**named, "description": told.get("description"), "strict": bool(told.get("strict"))}
        case None:
            return {"type": "text"}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A declaration, flat, with every field a function's and a custom tool's has."""
    kind = tool.get("type") or "function"
    inner: Any = tool.get(kind) if kind in ("function", "custom") else None
    flat: dict[str, Any] = {**(inner or {}), **tool, "type": kind}
    if kind == "function":
        flat.pop("function", None)
        return {"description": None, "parameters": None, "strict": None, **flat}
    if kind == "custom":
        flat.pop("custom", None)
        return {"description": None, "format": {"type": "text"}, **flat}
    return flat
