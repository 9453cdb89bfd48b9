"""A request to create a response: every field of it read, checked, and ready to be answered.

Unknown fields are ignored; a value that OpenAI's own service refuses is an InputError that names the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ossia.agent.events import Note
from ossia.errors import InputError
from ossia.harmony.formats.fields import (
    as_list,
    as_object,
    effort_of,
    flag_of,
    needed,
    number_of,
    text_of,
    whole_of,
    wrong,
)
from ossia.harmony.grammar import JsonObject, JsonSchema, ResponseFormat
from ossia.harmony.messages import Effort
from ossia.server.declared import Declared, checked_format, declare
from ossia.server.responses.reading import History, InputReader, Unseal

_ROOT = "request"
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "top_logprobs": (0, 20),
    "max_output_tokens": (1, None),
    "max_tool_calls": (0, None),
    "reasoning.max_tokens": (0, None),
}
_CHOICES = {
    "truncation": ("auto", "disabled"),
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
    "text.verbosity": ("low", "medium", "high"),
    "reasoning.summary": ("auto", "concise", "detailed", "none"),
    "reasoning.generate_summary": ("auto", "concise", "detailed", "none"),
}
_INCLUDES_LOGPROBS = "message.output_text.logprobs"
_INCLUDES_SEALED = "reasoning.encrypted_content"


@dataclass(frozen=True, slots=True)
class ResponseRequest:
    """One request, read. `said` is what its conversation holds before the answer, `fields` what was asked
    for in the client's own words, by name; those that were not given are missing."""

    model: str
    fields: Mapping[str, Any]
    declared: Declared
    said: History
    instructions: tuple[str, ...]
    effort: Effort
    response_format: ResponseFormat | None
    stop: tuple[str, ...]
    notes: tuple[Note, ...]

    @property
    def stream(self) -> bool:
        return bool(self.fields.get("stream"))

    @property
    def store(self) -> bool:
        return self.fields.get("store") is not False

    @property
    def background(self) -> bool:
        return bool(self.fields.get("background"))

    @property
    def shows_progress(self) -> bool:
        return bool(self.fields.get("return_progress"))

    @property
    def summarizes(self) -> bool:
        """Whether summaries of the reasoning were asked for."""
        reasoning: Mapping[str, Any] = self.fields.get("reasoning") or {}
        return any(reasoning.get(key) not in (None, "none") for key in ("summary", "generate_summary"))

    @property
    def seals(self) -> bool:
        """Whether reasoning comes with `encrypted_content`."""
        return _INCLUDES_SEALED in (self.fields.get("include") or ())

    @property
    def logprobs(self) -> int | None:
        """How many of the likeliest tokens to name beside each one sampled; None for no probabilities."""
        if self.number("top_logprobs") or _INCLUDES_LOGPROBS in (self.fields.get("include") or ()):
            return int(self.number("top_logprobs") or 0)
        return None

    @property
    def reasoning_tokens(self) -> int | None:
        """At how many tokens its chain of thought is closed; None for no limit."""
        return whole_of(self.fields.get("reasoning") or {}, "max_tokens", "reasoning.max_tokens")

    def number(self, name: str) -> float | None:
        return number_of(self.fields, name, name)


def read_request(body: Mapping[str, Any], unseal: Unseal, history: History | None = None) -> ResponseRequest:
    """Read the body of a request, whose conversation goes on behind `history`.

    `unseal` gives the messages in an `encrypted_content`. Raises InputError, with `param`.
    """
    fields = {name: value for name, value in body.items() if value is not None}
    if "model" not in fields:
        raise InputError(
            "model is missing", limit="text", remedy="Name one; /v1/models lists them.", param="model"
        )
    model = needed(fields, "model", "model")
    _check(fields)
    declared = declare(fields.get("tools"), fields.get("tool_choice"))
    reader = InputReader(declared, unseal, history)
    reader.read(fields.get("input"), "input")
    told = InputReader(declared, unseal)
    told.read(_instructions(fields), "instructions")
    wanted, notes = _format(fields)
    return ResponseRequest(
        model=model,
        fields=fields,
        declared=declared,
        said=reader.history(),
        instructions=told.history().lead,
        effort=_effort(fields),
        response_format=wanted,
        stop=_stop(fields.get("stop")),
        notes=(*declared.warnings, *told.notes, *reader.notes, *notes, *_unknown_includes(fields)),
    )


def _check(fields: Mapping[str, Any]) -> None:
    """Raise InputError for a plain field of the wrong type, or out of its range."""
    for name, (low, high) in _RANGES.items():
        outer, _, inner = name.rpartition(".")
        held = as_object(fields.get(outer, {}), outer) if outer else fields
        whole = inner.startswith(("top_l", "max_"))
        value = whole_of(held, inner, name) if whole else number_of(held, inner, name)
        if value is not None and not (low <= value and (high is None or value <= high)):
            limit = f"{low} or more" if high is None else f"{low} to {high}"
            raise wrong(name, f"{value!r} is out of range", value, limit, f"Choose {limit}.")
    for name, allowed in _CHOICES.items():
        outer, _, inner = name.rpartition(".")
        value = text_of(as_object(fields.get(outer, {}), outer) if outer else fields, inner, name)
        if value is not None and value not in allowed:
            raise wrong(
                name, f"{value!r} is not known", value, allowed, f"Choose among {', '.join(allowed)}."
            )
    for name in ("store", "stream", "background", "parallel_tool_calls", "return_progress"):
        flag_of(fields, name, name)
    for name in ("previous_response_id", "prompt_cache_key", "safety_identifier", "user"):
        text_of(fields, name, name)
    whole_of(fields, "seed", "seed")
    as_list(fields.get("include"), "include")
    read_metadata(fields.get("metadata"))
    if fields.get("prompt") is not None:
        raise wrong("prompt", "no prompts are stored here", fields["prompt"], None, "Send instructions.")


def read_metadata(value: object) -> dict[str, Any]:
    """Metadata as a client gave it, none for None; raises InputError for more of it than OpenAI takes."""
    metadata: Mapping[str, Any] = {} if value is None else as_object(value, "metadata")
    if len(metadata) > 16:
        raise wrong("metadata", f"{len(metadata)} pairs", len(metadata), 16, "Send 16 at most.")
    for key, text in metadata.items():
        if not isinstance(text, str) or len(key) > 64 or len(text) > 512:
            limit = "keys of up to 64 characters, values of up to 512"
            raise wrong(f"metadata.{key[:64]}", "no short text", text, limit, "Shorten it.")
    return dict(metadata)


def _instructions(fields: Mapping[str, Any]) -> object:
    """`instructions` as items: text stands for a developer message."""
    value = fields.get("instructions")
    if isinstance(value, str):
        return [{"role": "developer", "content": value}] if value else None
    return as_list(value, "instructions") or None


def _effort(fields: Mapping[str, Any]) -> Effort:
    reasoning = fields.get("reasoning")
    asked = None if reasoning is None else as_object(reasoning, "reasoning").get("effort")
    return effort_of(asked, "reasoning.effort") or "medium"


def _format(fields: Mapping[str, Any]) -> tuple[ResponseFormat | None, list[Note]]:
    text = fields.get("text")
    told = None if text is None else as_object(text, "text").get("format")
    if told is None:
        return None, []
    where = "text.format"
    wanted = as_object(told, where)
    kind = wanted.get("type")
    if kind in (None, "text"):
        return None, []
    if kind == "json_object":
        return JsonObject(), []
    if kind != "json_schema":
        raise wrong(where, f"a format of type {kind!r}", kind, ("text", "json_schema", "json_object"))
    inner = wanted.get("json_schema")
    described = wanted if inner is None else as_object(inner, f"{where}.json_schema")
    schema = as_object(described.get("schema"), f"{where}.schema")
    gaps = checked_format(schema, f"{where}.schema")
    notes: list[Note] = []
    if gaps and flag_of(described, "strict", where):
        notes.append(Note("not-strict", f"{where}: {', '.join(gaps)} cannot be enforced while sampling"))
    return JsonSchema(dict(schema), text_of(described, "name", where) or ""), notes


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = (value,) if isinstance(value, str) else tuple(as_list(value, "stop"))
    if all(isinstance(stop, str) and stop for stop in stops):
        return cast(tuple[str, ...], stops)
    raise InputError("stop: not a text or a list of texts", value=value, limit="text", param="stop")


def _unknown_includes(fields: Mapping[str, Any]) -> list[Note]:
    known = (_INCLUDES_LOGPROBS, _INCLUDES_SEALED)
    unknown = [name for name in as_list(fields.get("include"), "include") if name not in known]
    return [Note("include", f"include: there is no {name!r} here") for name in unknown]
