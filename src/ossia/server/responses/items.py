"""Output items: what the model said, as the things a client keeps and sends back."""

import secrets
from collections.abc import Sequence
from typing import Any, Literal

from ossia.agent.logprobs import TokenLogprob
from ossia.server.declared import ClientTool

ItemStatus = Literal["in_progress", "completed", "incomplete"]
Phase = Literal["commentary", "final_answer"]


def new_id(prefix: str) -> str:
    """An id nobody guesses: `prefix`, an underscore, and 48 hexadecimal digits."""
    return f"{prefix}_{secrets.token_hex(24)}"


def reasoning_item() -> dict[str, Any]:
    """An empty chain of thought, in progress."""
    return {"id": new_id("rs"), "type": "reasoning", "status": "in_progress", "summary": []}


def message_item(phase: Phase) -> dict[str, Any]:
    """A message without a word, in progress."""
    return {
        "id": new_id("msg"),
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "phase": phase,
        "content": [],
    }


def call_item(tool: ClientTool) -> dict[str, Any]:
    """A call without its arguments, in progress; under the type its client declared."""
    custom = tool.kind == "custom"
    return {
        "id": new_id("ctc" if custom else "fc"),
        "type": "custom_tool_call" if custom else "function_call",
        "status": "in_progress",
        "call_id": new_id("call"),
        "name": tool.name,
        **({} if tool.namespace is None else {"namespace": tool.namespace}),
        "input" if custom else "arguments": "",
    }


def reasoning_part(text: str) -> dict[str, Any]:
    return {"type": "reasoning_text", "text": text}


def summary_part(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def text_part(text: str, logprobs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logprobs)}


def logprobs_body(tokens: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    """Log-probabilities of tokens, each with those of the likeliest ones in its place."""
    return [
        {**_likely(t.token, t.bytes, t.logprob), "top_logprobs": [_likely(*likely) for likely in t.top]}
        for t in tokens
    ]


def _likely(token: str, piece: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token, "bytes": list(piece), "logprob": logprob}
