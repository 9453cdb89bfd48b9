"""The message types: frozen values with the few questions the rest asks of them."""

from dataclasses import FrozenInstanceError, replace

import pytest

from ossia.harmony import Conversation, Message, SystemContent, tool_result, user


def test_messages_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        user("a").role = "system"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("role", "recipient", "is_call"),
    [
        ("assistant", "functions.x", True),
        ("assistant", None, False),
        ("assistant", "all", False),
        ("tool", "assistant", False),
    ],
)
def test_the_recipient_makes_a_call(role: str, recipient: str | None, is_call: bool) -> None:
    for channel in (None, "analysis", "commentary", "final"):
        assert Message(role, "", recipient=recipient, channel=channel).is_call is is_call  # pyright: ignore


def test_append_gives_a_new_conversation() -> None:
    empty = Conversation()
    assert empty.append(user("a"), user("b")).messages == (user("a"), user("b"))
    assert empty.messages == ()


def test_text_is_the_body_and_empty_for_structured_content() -> None:
    assert tool_result("functions.x", "ok").text == "ok"
    assert Message("system", SystemContent()).text == ""


def test_sampled_ids_are_good_for_their_own_message_and_vocabulary_only() -> None:
    message = user("a").with_ids((1, 2), (3,), (4,), "v")
    assert message == user("a")
    assert message.sampled_in("v") is message.sampled
    assert message.sampled_in("other") is None
    assert replace(message, content="b").sampled_in("v") is None
