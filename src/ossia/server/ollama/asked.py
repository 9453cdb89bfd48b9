"""What a request to generate asks for: options, thinking, format, how long the model is to stay."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ossia.agent.card import ModelCard
from ossia.agent.limits import Limits
from ossia.agent.steering.options import AnswerOptions, sampling_of
from ossia.errors import InputError
from ossia.harmony.formats.fields import EFFORT_NAMES, as_list, as_object, flag_of, needed, number_of, wrong
from ossia.harmony.grammar import JsonObject, JsonSchema, ResponseFormat
from ossia.harmony.messages import Effort
from ossia.model.sampling import SamplingParams
from ossia.server.declared import checked_format

MAX_TOP_LOGPROBS = 20
_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
}
_WHOLE = ("top_k", "seed")
_LEAST_TOP_P = 1e-6  # 0 means the likeliest token alone
_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, apart from what it says to the model.

    `effort` with `shows_thinking`: what `think` means. `sampling`: SamplingParams' fields as far as they were
    given. `keep_alive_s`: how long the model is to stay in memory after this,
    in seconds, negative for always; None for what the server does anyway.
    """

    model: str
    stream: bool
    effort: Effort
    shows_thinking: bool
    sampling: dict[str, Any]
    max_tokens: int | None
    stop: tuple[str, ...]
    response_format: ResponseFormat | None
    keep_alive_s: float | None
    progress: bool

    def answer_options(self, card: ModelCard) -> AnswerOptions:
        """The same for a model."""
        return AnswerOptions(
            sampling=sampling_of(dict(self.sampling), card),
            limits=Limits(tokens=self.max_tokens),
            stop=self.stop,
            response_format=self.response_format,
        )


def read_asked(body: Mapping[str, Any]) -> Asked:
    """Read a request's fields; unknown ones are ignored, as Ollama does. Raises InputError."""
    options = as_object(body.get("options") or {}, "options")
    effort, shows = _think(body.get("think"))
    sampling = _sampling(options)
    sampling["logprobs"] = _logprobs(body)
    SamplingParams(**sampling)  # refuses what is out of range before anything waits
    return Asked(
        model=model_name(body),
        stream=streams(body),
        effort=effort,
        shows_thinking=shows,
        sampling=sampling,
        max_tokens=_max_tokens(options),
        stop=_stop(options.get("stop")),
        response_format=_format(body.get("format")),
        keep_alive_s=keep_alive(body.get("keep_alive")),
        progress=flag_of(body, "return_progress", "request"),
    )


def model_name(body: Mapping[str, Any]) -> str:
    """The model a request names, under either of the two keys; raises InputError."""
    name = needed(body, "model" if body.get("model") else "name", "request") if _is_named(body) else ""
    if not name.strip():
        raise InputError("model is required", value=name, remedy="Name one, for example gpt-oss:20b.")
    return name.strip()


def streams(body: Mapping[str, Any]) -> bool:
    """Whether the answer is to be streamed: yes, unless told otherwise."""
    return True if body.get("stream") is None else flag_of(body, "stream", "request")


def keep_alive(value: object) -> float | None:
    """Seconds; negative for always, None where nothing is said. A number, or as "5m", "1h30m", "-1"."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    text = value.strip() if isinstance(value, str) else ""
    if re.fullmatch(r"-?\d+(?:\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text.removeprefix("-"))
    if not parts or "".join(f"{n}{unit}" for n, unit in parts) != text.removeprefix("-"):
        raise wrong("keep_alive", f"no duration: {value!r}", value, "seconds, 5m or 1h30m; -1 for always")
    seconds = sum(float(n) * _SECONDS[unit] for n, unit in parts)
    return -seconds if text.startswith("-") else seconds


def _is_named(body: Mapping[str, Any]) -> bool:
    return bool(body.get("model") or body.get("name"))


def _think(value: object) -> tuple[Effort, bool]:
    """The effort, and whether the chain of thought is shown. gpt-oss always thinks: false is its shortest."""
    if value is None or value is True:
        return "medium", True
    if value is False:
        return "low", False
    if isinstance(value, str) and (effort := EFFORT_NAMES.get(value.strip().lower())):
        return effort, True
    raise InputError(
        f"invalid think value: {value!r}",
        value=value,
        limit=("low", "medium", "high", True, False),
        remedy='Give "low", "medium", "high", true or false.',
    )


def _sampling(options: Mapping[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for key, name in _SAMPLING.items():
        if (value := number_of(options, key, "options")) is not None:
            given[name] = int(value) if key in _WHOLE else value
    if given.get("seed", 0) < 0:
        del given["seed"]  # -1: any
    if "top_k" in given:
        given["top_k"] = max(given["top_k"], 0)
    if given.get("top_p") == 0:
        given["top_p"] = _LEAST_TOP_P
    return given


def _max_tokens(options: Mapping[str, Any]) -> int | None:
    """-1 and -2 are Ollama's words for no limit but the context's."""
    value = number_of(options, "num_predict", "options")
    return None if value is None or value <= 0 else int(value)


def _stop(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else as_list(value, "options.stop")
    if other := [text for text in texts if not isinstance(text, str)]:
        raise wrong("options.stop", "a stop string that is no text", other[0], "texts")
    return tuple(text for text in cast(list[str], texts) if text)


def _logprobs(body: Mapping[str, Any]) -> int | None:
    top = number_of(body, "top_logprobs", "request") or 0
    if not 0 <= top <= MAX_TOP_LOGPROBS:
        raise InputError(
            f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}", value=top, limit=(0, MAX_TOP_LOGPROBS)
        )
    return int(top) if flag_of(body, "logprobs", "request") else None


def _format(value: object) -> ResponseFormat | None:
    if value is None or value == "":
        return None
    if value == "json":
        return JsonObject()
    if isinstance(value, Mapping):
        schema = dict(cast(Mapping[str, Any], value))
        checked_format(schema, "format")
        return JsonSchema(schema)
    raise InputError(
        f"invalid format: {value!r}",
        value=value,
        limit='"json" or a JSON Schema',
        remedy='Give "json" or a JSON Schema.',
    )
