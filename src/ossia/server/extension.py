"""What Ossia says beyond the APIs it speaks: warnings, timings and progress, in one field named "ossia"."""

from collections.abc import Iterable
from typing import Any

from ossia.agent.events import Note, Usage

FIELD = "ossia"


def extension(notes: Iterable[Note], usage: Usage | None = None) -> dict[str, Any]:
    """The field's value at the end of an answer: `warnings` (code and message, each once), and `timings`.

    Times in seconds; `tokens_per_second` counts from the first token on.
    """
    told = dict.fromkeys((note.code, note.detail) for note in notes)
    value: dict[str, Any] = {"warnings": [{"code": code, "message": text} for code, text in told]}
    if usage is not None:
        value["timings"] = _timings(usage)
    return value


def progress(done: int, total: int) -> dict[str, Any]:
    """The field's value while a prompt is read: tokens of it."""
    return {"prompt_progress": {"done": done, "total": total}}


def _timings(usage: Usage) -> dict[str, Any]:
    before = usage.first_token_s if usage.first_token_s is not None else usage.seconds
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "prompt_s": round(before, 6),
        "output_tokens": usage.output_tokens,
        "output_s": round(usage.seconds - before, 6),
        "tokens_per_second": tokens_per_second(usage),
    }


def tokens_per_second(usage: Usage) -> float | None:
    """The rate after the first token; None where there was no second one."""
    if usage.first_token_s is None or usage.output_tokens < 2:
        return None
    spent = usage.seconds - usage.first_token_s
    return round((usage.output_tokens - 1) / spent, 3) if spent > 0 else None
