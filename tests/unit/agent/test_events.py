"""Every event has one stable JSON shape."""

import json
from typing import Any, get_args

import pytest

from ossia.agent import events
from ossia.agent.events import to_json
from ossia.agent.logprobs import TokenLogprob
from ossia.harmony.messages import Conversation, Message

CALL = Message(
    "assistant", "{}", channel="commentary", recipient="functions.f", content_type="<|constrain|>json"
)
USAGE = events.Usage(10, 4, 5, 3, 1.23456789, 0.5, 15, 1)
LOGPROB = TokenLogprob("\ufffd", b"\xc3", -0.5, (("a", b"a", -0.25), ("\ufffd", b"\xc3", -0.5)))
LOGPROB_JSON = {
    "token": "\ufffd",
    "bytes": [195],
    "logprob": -0.5,
    "top": [
        {"token": "a", "bytes": [97], "logprob": -0.25},
        {"token": "\ufffd", "bytes": [195], "logprob": -0.5},
    ],
}
SHAPES: list[tuple[events.Event, dict[str, Any]]] = [
    (events.PromptProgress(64, 200), {"type": "prompt.progress", "done": 64, "total": 200}),
    (
        events.TextDelta("é", (LOGPROB,)),
        {"type": "text.delta", "text": "é", "logprobs": [LOGPROB_JSON]},
    ),
    (
        events.CallDelta("call_1", "{", (LOGPROB,)),
        {"type": "call.delta", "call_id": "call_1", "text": "{", "logprobs": [LOGPROB_JSON]},
    ),
    (events.ReasoningDelta("a"), {"type": "reasoning.delta", "text": "a"}),
    (events.PreambleDelta("a"), {"type": "preamble.delta", "text": "a"}),
    (events.TextDelta("é"), {"type": "text.delta", "text": "é"}),
    (
        events.CallStarted("call_1", "functions.f"),
        {"type": "call.started", "call_id": "call_1", "name": "functions.f"},
    ),
    (events.CallDelta("call_1", "{"), {"type": "call.delta", "call_id": "call_1", "text": "{"}),
    (
        events.CallReady("call_1", "functions.f", "{}"),
        {"type": "call.ready", "call_id": "call_1", "name": "functions.f", "arguments": "{}"},
    ),
    (
        events.ResultReady("call_1", "functions.f", "x", True),
        {"type": "result.ready", "call_id": "call_1", "name": "functions.f", "text": "x", "is_error": True},
    ),
    (
        events.MessageDone(CALL),
        {
            "type": "message.done",
            "message": {
                "role": "assistant",
                "content": "{}",
                "channel": "commentary",
                "recipient": "functions.f",
                "content_type": "<|constrain|>json",
            },
        },
    ),
    (events.Note("no-final", "x"), {"type": "note", "code": "no-final", "detail": "x"}),
    (
        events.Finished("stop_string", USAGE, Conversation((CALL,)), "END"),
        {
            "type": "finished",
            "reason": "stop_string",
            "stop": "END",
            "usage": {
                "prompt_tokens": 10,
                "cached_tokens": 4,
                "output_tokens": 5,
                "reasoning_tokens": 3,
                "seconds": 1.234568,
                "first_token_s": 0.5,
                "context_tokens": 15,
                "steps": 1,
            },
        },
    ),
]


@pytest.mark.parametrize(("event", "shape"), SHAPES)
def test_shape(event: events.Event, shape: dict[str, Any]) -> None:
    assert to_json(event) == shape
    assert next(iter(to_json(event))) == "type"
    assert json.loads(json.dumps(to_json(event))) == shape


def test_no_event_is_left_out() -> None:
    assert {type(event) for event, _ in SHAPES} == set(get_args(events.Event))
