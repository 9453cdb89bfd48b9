"""Conversations as JSON values: what was written comes back, anything else is refused by name."""

import json
from typing import Any

import pytest

from ossia.agent.saved import (
    SavedChat,
    chat_from_dict,
    chat_to_dict,
    check_history,
    message_from_dict,
    message_to_dict,
)
from ossia.errors import InputError
from ossia.harmony.messages import DeveloperContent, Message, tool_result, user

MESSAGES = (
    user("Hi 👋 <|end|>"),
    Message("assistant", "Hm.", channel="analysis"),
    Message("assistant", "{}", None, "commentary", "functions.f", "<|constrain|>json", "channel"),
    tool_result("functions.f", "ok"),
    Message("assistant", "", channel="final"),
)
SAVED = SavedChat("pocket", "high", None, ("f",), MESSAGES)


def test_round_trip() -> None:
    assert chat_from_dict(json.loads(json.dumps(chat_to_dict(SAVED)))) == SAVED


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_written_without_what_is_not_set(message: Message) -> None:
    written = message_to_dict(message)
    assert None not in written.values()
    assert message_from_dict(written) == message


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 3},
        {"effort": "extreme"},
        {"effort": 3},
        {"model": 3},
        {"system": ["x"]},
        {"messages": {}},
        {"messages": ["x"]},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user", "content": 3}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "x", "name": 3}]},
        {"messages": [{"role": "assistant", "content": "x", "channel": "a b"}]},
        {"messages": [{"role": "assistant", "content": "x", "recipient_in": "header"}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"tools": "calculator"},
    ],
)
def test_anything_else_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        chat_from_dict({**chat_to_dict(SAVED), **change})
    assert caught.value.remedy


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(InputError):
        chat_from_dict(value)


@pytest.mark.parametrize(
    "message",
    [
        Message("developer", DeveloperContent("x")),
        Message("system", "x"),
        Message("user", DeveloperContent()),
    ],
)
def test_a_history_holds_no_opening_messages(message: Message) -> None:
    with pytest.raises(InputError):
        check_history([message])
