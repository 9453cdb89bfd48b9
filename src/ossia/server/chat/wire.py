"""The objects of the wire: completions, chunks, usage, log-probabilities."""

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from ossia import __version__
from ossia.agent.events import Note, Usage
from ossia.agent.logprobs import TokenLogprob
from ossia.server.chat.choice import Choice, Delta
from ossia.server.extension import FIELD, extension, progress

_LEAST_LOGPROB = -9999.0  # the API's word for a probability of nothing; JSON has none for infinity


class Head:
    """What a completion has in common with its chunks. `usage_in_chunks`: whether they have that field."""

    def __init__(self, model: str, *, usage_in_chunks: bool = False) -> None:
        self.fields: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": model,
            "service_tier": "default",
            "system_fingerprint": fingerprint(model),
        }
        self._of_chunk = self.fields | {"object": "chat.completion.chunk"}
        self._usage: dict[str, Any] = {"usage": None} if usage_in_chunks else {}

    def chunk(self, *choices: dict[str, Any]) -> dict[str, Any]:
        return {**self._of_chunk, "choices": choices, **self._usage}


def fingerprint(model: str) -> str:
    """The same for as long as the same program serves the same model."""
    return "fp_" + hashlib.sha256(f"{__version__} {model}".encode()).hexdigest()[:12]


def completion(head: Head, choices: Sequence[Choice], notes: Iterable[Note]) -> dict[str, Any]:
    """The whole answer as one object."""
    told = [
        {
            "index": choice.index,
            "message": choice.message(),
            "logprobs": _logprobs(choice.logprobs),
            "finish_reason": choice.finish_reason,
        }
        for choice in choices
    ]
    return {
        **head.fields,
        "choices": told,
        "usage": usage_of(choices),
        FIELD: _extension(choices, notes),
    }


def opening_chunk(head: Head, index: int) -> dict[str, Any]:
    """The first of an answer: who speaks."""
    return head.chunk(_choice(index, {"role": "assistant", "content": "", "refusal": None}))


def delta_chunk(head: Head, index: int, delta: Delta) -> dict[str, Any]:
    return head.chunk(_choice(index, delta.fields, delta.logprobs))


def progress_chunk(head: Head, index: int, done: int, total: int) -> dict[str, Any]:
    """How far the prompt was read; for clients that ask for it."""
    return head.chunk(_choice(index, {})) | {FIELD: progress(done, total)}


def finish_chunk(head: Head, choice: Choice) -> dict[str, Any]:
    return head.chunk(_choice(choice.index, {}, finish_reason=choice.finish_reason))


def usage_chunk(head: Head, choices: Sequence[Choice]) -> dict[str, Any]:
    """The one after the last, without choices."""
    return head.chunk() | {"usage": usage_of(choices)}


def extended(chunk: dict[str, Any], choices: Sequence[Choice], notes: Iterable[Note]) -> dict[str, Any]:
    """The last chunk, with what Ossia says beyond the API."""
    return chunk | {FIELD: _extension(choices, notes)}


def usage_of(choices: Sequence[Choice]) -> dict[str, Any]:
    """The prompt once, the output of all answers."""
    usage = _together(choices)
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _together(choices: Sequence[Choice]) -> Usage:
    usages = [choice.usage for choice in choices]
    return replace(
        usages[0],
        output_tokens=sum(usage.output_tokens for usage in usages),
        reasoning_tokens=sum(usage.reasoning_tokens for usage in usages),
        seconds=max(usage.seconds for usage in usages),
    )


def _extension(choices: Sequence[Choice], notes: Iterable[Note]) -> dict[str, Any]:
    found = [*notes, *(note for choice in choices for note in choice.notes)]
    return extension(found, _together(choices))


def _choice(
    index: int,
    delta: dict[str, Any],
    logprobs: Sequence[TokenLogprob] = (),
    finish_reason: str | None = None,
) -> dict[str, Any]:
    told = _logprobs(logprobs)
    return {"index": index, "delta": delta, "logprobs": told, "finish_reason": finish_reason}


def _logprobs(tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
    if not tokens:
        return None
    content = [
        {**_token(t.token, t.bytes, t.logprob), "top_logprobs": [_token(*one) for one in t.top]}
        for t in tokens
    ]
    return {"content": content, "refusal": None}


def _token(token: str, piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token, "bytes": list(piece), "logprob": max(logprob, _LEAST_LOGPROB)}
