"""What goes to vLLM's completions endpoint, and what its streamed chunks say: ids both ways, never text.

Shapes as vLLM 0.10 and later have them (`return_token_ids`). It knows nothing of connections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ossia.backends.vllm.refusals import error_code, error_message, refusal
from ossia.errors import BackendError
from ossia.model.sampling import Finish, SamplingParams, Token

_ID = "token_id:"  # how ids are written where a text would stand


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream: `tokens`, `finish` where the last of them ends the answer, and, after it, how
    many tokens of the prompt were `cached`."""

    tokens: tuple[Token, ...] = ()
    finish: Finish | None = None
    cached: int = 0


def request_body(
    model: str, prompt_ids: Sequence[int], params: SamplingParams, context_length: int
) -> dict[str, Any]:
    """The request that means there what `params` mean here.

    Every value is said, for what is left out there comes from the checkpoint's own configuration. Only
    `stop_ids` end the answer.
    """
    body: dict[str, Any] = {
        "model": model,
        "prompt": [int(i) for i in prompt_ids],
        "max_tokens": params.max_tokens or context_length - len(prompt_ids),
        "temperature": params.temperature,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "min_p": params.min_p,
        "repetition_penalty": params.repetition_penalty,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
        "stop_token_ids": sorted(params.stop_ids),
        "ignore_eos": True,
        "add_special_tokens": False,
        "return_token_ids": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if params.logit_bias:
        body["logit_bias"] = {str(i): bias for i, bias in params.logit_bias.items()}
    if params.seed is not None:
        body["seed"] = params.seed
    if params.logprobs is not None:
        body |= {"logprobs": params.logprobs, "return_tokens_as_token_ids": True}
    return body


def read_chunk(value: Mapping[str, Any], params: SamplingParams) -> Chunk:
    """What one event says. Raises the error it carries, as `refusal`; BackendError without token ids."""
    if "error" in value or value.get("object") == "error":
        raise refusal(error_code(value), error_message(value))
    choices = cast(list[dict[str, Any]], value.get("choices") or [])
    if not choices:
        usage: dict[str, Any] = value.get("usage") or {}
        details: dict[str, Any] = usage.get("prompt_tokens_details") or {}
        return Chunk(cached=details.get("cached_tokens") or 0)
    choice = choices[0]
    ids = cast(list[int] | None, choice.get("token_ids"))
    finish = _finish(choice)
    if ids is None:
        if choice.get("text") or finish is None:
            raise BackendError(
                "the vLLM server sends text without token ids",
                limit="a server that knows return_token_ids",
                remedy="Use vLLM 0.10.2 or later.",
            )
        ids = []
    return Chunk(tuple(_tokens(ids, choice.get("logprobs"), params)), finish)


def _finish(choice: Mapping[str, Any]) -> Finish | None:
    reason = choice.get("finish_reason")
    if reason is None or reason == "length":
        return reason
    return "cancelled" if reason == "abort" else "stop"


def _tokens(ids: Sequence[int], logprobs: Mapping[str, Any] | None, params: SamplingParams) -> list[Token]:
    if params.logprobs is None or logprobs is None:
        return [Token(i) for i in ids]
    chosen = cast(list[float | None], logprobs["token_logprobs"])
    likely = cast(list[Mapping[str, float] | None], logprobs["top_logprobs"])
    assert len(chosen) == len(ids) == len(likely), "one log-probability for each token"
    return [
        Token(i, own, _likeliest(top or {}, params.logprobs))
        for i, own, top in zip(ids, chosen, likely, strict=True)
    ]


def _likeliest(top: Mapping[str, float], n: int) -> tuple[tuple[int, float], ...]:
    """The n largest: the sampled one comes with them there, wherever it stands."""
    found = [(int(name.removeprefix(_ID)), logprob) for name, logprob in top.items()]
    return tuple(sorted(found, key=lambda pair: (-pair[1], pair[0]))[:n])
