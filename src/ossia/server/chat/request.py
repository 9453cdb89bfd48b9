"""A Chat Completions request as values: everything a client may ask, checked once.

Unknown fields are ignored, null counts as absent. What this server does not have is named in `notes`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ossia.agent.events import Note
from ossia.errors import InputError
from ossia.harmony.formats.chat import take_messages
from ossia.harmony.formats.draft import Draft
from ossia.harmony.formats.fields import (
    as_list,
    as_object,
    effort_of,
    flag_of,
    number_of,
    text_of,
    whole_of,
    wrong,
)
from ossia.harmony.grammar import ResponseFormat
from ossia.harmony.messages import Effort
from ossia.model.sampling import SamplingParams
from ossia.server.chat.formats import read_format
from ossia.server.content import ContentReader
from ossia.server.declared import Declared, declare

MAX_ANSWERS = 128  # OpenAI's limit
MAX_TOP_LOGPROBS = 20
MAX_TEMPERATURE = 2  # the API's
_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)
_SMALLEST_TOP_P = 1e-6  # what 0 means: the likeliest token alone


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked. `sampling`: fields of SamplingParams that were given. `answers`: how many (n).

    `legacy`: tools came as `functions`, and calls go back as `function_call`.
    """

    model: str
    draft: Draft
    declared: Declared
    legacy: bool
    effort: Effort
    answers: int
    sampling: Mapping[str, Any]
    max_tokens: int | None
    max_reasoning_tokens: int | None
    stop: tuple[str, ...]
    max_calls: int | None
    response_format: ResponseFormat | None
    stream: bool
    include_usage: bool
    return_progress: bool
    notes: tuple[Note, ...]


def read_request(body: Mapping[str, Any]) -> ChatRequest:
    """The request in `body`; raises InputError that names the field which cannot be understood."""
    tools, choice, legacy = _tools(body)
    declared = declare(tools, choice)
    draft, unseen = _draft(body)
    form, gaps = read_format(body.get("response_format"))
    one_call = legacy or body.get("parallel_tool_calls") is False
    options = as_object(body.get("stream_options") or {}, "stream_options")
    return ChatRequest(
        model=_model(body),
        draft=draft,
        declared=declared,
        legacy=legacy,
        effort=_effort(body),
        answers=_answers(body),
        sampling=_sampling(body),
        max_tokens=_max_tokens(body),
        max_reasoning_tokens=_max_reasoning_tokens(body),
        stop=_stop(body.get("stop")),
        max_calls=1 if one_call else None,
        response_format=form,
        stream=flag_of(body, "stream", "stream"),
        include_usage=flag_of(options, "include_usage", "stream_options"),
        return_progress=flag_of(body, "return_progress", "return_progress"),
        notes=(*declared.warnings, *unseen, *gaps, *_left_out(body)),
    )


def _model(body: Mapping[str, Any]) -> str:
    if model := text_of(body, "model", "model"):
        return model
    raise InputError(
        "the request names no model",
        limit="a model's name",
        remedy="GET /v1/models lists them.",
        param="model",
    )


def _draft(body: Mapping[str, Any]) -> tuple[Draft, list[Note]]:
    """The messages, and notes about parts the model cannot see."""
    messages = as_list(body.get("messages"), "messages")
    if not messages:
        raise wrong("messages", "there is none", [], "at least one message", "Say something.")
    reader, draft = ContentReader(), Draft()
    take_messages(draft, messages, lambda value, where: reader.text(value, f"{where}.content"))
    return draft, reader.notes


def _tools(body: Mapping[str, Any]) -> tuple[object, object, bool]:
    """Tools and the choice among them; whether they came in the older form."""
    if body.get("tools") is not None or body.get("functions") is None:
        return body.get("tools"), body.get("tool_choice"), False
    functions = as_list(body["functions"], "functions")
    tools = [
        {"type": "function", "function": as_object(f, f"functions[{at}]")} for at, f in enumerate(functions)
    ]
    choice = body.get("function_call")
    if isinstance(choice, Mapping):
        choice = {"type": "function", "function": cast(Mapping[str, Any], choice)}
    return tools, choice, True


def _effort(body: Mapping[str, Any]) -> Effort:
    """The effort by any of the names clients have for the field."""
    for outer, key in (
        (None, "reasoning_effort"),
        ("reasoning", "effort"),
        ("chat_template_kwargs", "reasoning_effort"),
    ):
        fields = body if outer is None else body.get(outer)
        if isinstance(fields, Mapping):
            told = cast(Mapping[str, Any], fields).get(key)
            if told is not None:
                return effort_of(told, key if outer is None else f"{outer}.{key}") or "medium"
    return "medium"


def _answers(body: Mapping[str, Any]) -> int:
    n = whole_of(body, "n", "n")
    if n is None or 1 <= n <= MAX_ANSWERS:
        return n or 1
    raise wrong("n", f"{n} answers were asked for", n, (1, MAX_ANSWERS), f"Ask for 1 to {MAX_ANSWERS}.")


def _sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {name: number_of(body, name, name) for name in _NUMBERS}
    options["top_k"] = whole_of(body, "top_k", "top_k")
    options["seed"] = whole_of(body, "seed", "seed")
    options["logit_bias"] = _logit_bias(body.get("logit_bias"))
    options["logprobs"] = _logprobs(body)
    if options["top_p"] == 0:
        options["top_p"] = _SMALLEST_TOP_P
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        _check(name, value)
    return given


def _check(name: str, value: Any) -> None:
    """Refuse what is out of range before anything waits."""
    if name == "temperature" and value > MAX_TEMPERATURE:
        limit = f"0 to {MAX_TEMPERATURE}"
        raise wrong(name, f"{value!r} is out of range", value, limit, f"Choose {limit}.")
    try:
        SamplingParams(**{name: value})
    except InputError as error:
        error.param = name
        raise


def _logprobs(body: Mapping[str, Any]) -> int | None:
    """None for none, otherwise how many of the likeliest tokens go with each."""
    top = whole_of(body, "top_logprobs", "top_logprobs")
    if not flag_of(body, "logprobs", "logprobs"):
        if top:
            raise wrong("top_logprobs", "logprobs are not asked for", top, 0, "Set logprobs to true.")
        return None
    if top is not None and not 0 <= top <= MAX_TOP_LOGPROBS:
        raise wrong("top_logprobs", f"{top} are too many, or too few", top, (0, MAX_TOP_LOGPROBS))
    return top or 0


def _logit_bias(value: object) -> dict[int, float] | None:
    if value is None:
        return None
    told = as_object(value, "logit_bias")
    biases: dict[int, float] = {}
    for key in told:
        if not key.isascii() or not key.isdigit():
            raise wrong("logit_bias", f"{key!r} is no token id", key, "ids of this model's vocabulary")
        biases[int(key)] = number_of(told, key, "logit_bias") or 0.0
    return biases


def _max_tokens(body: Mapping[str, Any]) -> int | None:
    for key in ("max_completion_tokens", "max_tokens"):
        if (limit := whole_of(body, key, key)) is not None:
            if limit < 1:
                raise wrong(key, f"{limit} tokens hold no answer", limit, "1 or more")
            return limit
    return None


def _max_reasoning_tokens(body: Mapping[str, Any]) -> int | None:
    """At so many the chain of thought is closed; 0 for none."""
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, Mapping):
        return None
    where = "reasoning.max_tokens"
    limit = whole_of(cast(Mapping[str, Any], reasoning), "max_tokens", where)
    if limit is not None and limit < 0:
        raise wrong(where, f"{limit} tokens hold no thought", limit, "0 or more")
    return limit


def _stop(value: object) -> tuple[str, ...]:
    """Stop strings, given as one or as a list; an empty one stops nothing."""
    stops = [value] if isinstance(value, str) else as_list(value, "stop")
    for stop in stops:
        if not isinstance(stop, str):
            raise wrong("stop", f"{stop!r} is no text", stop, "text, or a list of texts")
    return tuple(stop for stop in stops if stop)


def _left_out(body: Mapping[str, Any]) -> list[Note]:
    """Notes about what this server does not do."""
    notes: list[Note] = []
    if body.get("web_search_options") is not None:
        notes.append(Note("tool-left-out", "web_search_options: this server has no web search"))
    if body.get("audio") is not None or "audio" in _texts(body.get("modalities")):
        notes.append(Note("not-supported", "modalities: the answer is text only"))
    if body.get("store") is True:
        notes.append(Note("not-supported", "store: completions are not kept; responses are"))
    if body.get("verbosity") not in (None, "medium"):
        notes.append(Note("not-supported", "verbosity: the model was not taught any; ask for it in words"))
    return notes


def _texts(value: object) -> list[str]:
    return [item for item in as_list(value, "modalities") if isinstance(item, str)]
