"""What is known about one request while it is answered: for the log's line and for the metrics."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from ossia.agent.events import PromptProgress, Usage


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


@dataclass(eq=False, slots=True)
class Record:
    """One request's account. An answer may outlive its request (one in the background); one request may have
    several answers, whose tokens are added up."""

    id: str = field(default_factory=new_request_id)
    method: str = ""
    path: str = ""
    dialect: str = "other"
    owner: str = ""
    status: int | None = None
    model: str | None = None
    finish: str | None = None
    queue_s: float | None = None
    usage: Usage | None = None
    text: list[str] | None = None  # prompts and answers, only where the log is to have them
    over: bool = False  # the request itself has ended
    reading: PromptProgress | None = None  # how far the prompt has been read
    begun: float = field(default_factory=time.monotonic)

    def add(self, usage: Usage) -> None:
        """Count another answer."""
        self.usage = usage if self.usage is None else _sum(self.usage, usage)

    def comment(self) -> bytes:
        """What a stream of events says in its silence: how far the prompt is read, where that is known."""
        if self.reading is None or self.reading.done >= self.reading.total:
            return b": waiting\n\n"
        return f": reading the prompt, {self.reading.done} of {self.reading.total} tokens\n\n".encode()

    def line(self) -> dict[str, Any]:
        """The log's line, without what is not known."""
        found: dict[str, Any] = {
            "request": self.id,
            "dialect": self.dialect,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "owner": self.owner or None,
            "model": self.model,
            "finish": self.finish,
            "seconds": round(time.monotonic() - self.begun, 4),
            "queue_s": None if self.queue_s is None else round(self.queue_s, 4),
        }
        if self.usage is not None:
            found |= _numbers(self.usage)
        if self.text is not None:
            found["text"] = self.text
        return {name: value for name, value in found.items() if value is not None}


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(
        prompt_tokens=one.prompt_tokens + other.prompt_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
        seconds=max(one.seconds, other.seconds),
        first_token_s=one.first_token_s,
        context_tokens=max(one.context_tokens, other.context_tokens),
        steps=one.steps + other.steps,
    )


def _numbers(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "first_token_s": None if usage.first_token_s is None else round(usage.first_token_s, 4),
        "answer_s": round(usage.seconds, 4),
    }
