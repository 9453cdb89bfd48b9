"""Conversations in every form that ``ossia harmony`` reads, for its tests."""

import json
from pathlib import Path
from typing import Any

TEXT = (
    "<|start|>system<|message|>You are helpful.<|end|>"
    "<|start|>user<|message|>What is 2 + 2?\n그리고 뷁은?<|end|>"
    "<|start|>assistant<|channel|>analysis<|message|>Easy.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
)
MALFORMED = (
    "<|start|>user<|message|>one\ntwo<|end|>"
    "<|start|>assistant<|channel|>thoughts<|message|>three\nfour <|reserved_200013|>five<|return|>"
)
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def calling(arguments: str, name: str = "get_weather", tools: bool = True) -> dict[str, Any]:
    """A Chat Completions request with two finished turns, the second with a call."""
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "reasoning_content": "Greet.", "content": "Hello!"},
        {"role": "user", "content": "부산 날씨는?"},
        {"role": "assistant", "reasoning_content": "Call.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "assistant", "reasoning_content": "Tell.", "content": "맑습니다."},
    ]
    return {"messages": messages, **({"tools": [WEATHER]} if tools else {})}


RESPONSE = {
    "object": "response",
    "input": "What is 2 + 2?",
    "output": [
        {
            "type": "reasoning",
            "id": "r",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Easy."}],
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "It is 4.", "annotations": []}],
        },
    ],
}


def write(folder: Path, name: str, content: object) -> str:
    """Write bytes, text, or anything else as JSON; returns the path."""
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return str(path)
