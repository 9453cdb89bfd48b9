import pytest

from ossia.errors import EncryptedContentError, InputError, NotFoundError
from ossia.harmony.messages import DeveloperContent, Message, tool_result, user
from ossia.server.declared import declare
from ossia.server.responses.reading import History, InputReader

TOOLS = [
    {"type": "function", "name": "f"},
    {"type": "custom", "name": "code"},
    {"type": "namespace", "name": "db", "description": "", "tools": [{"type": "function", "name": "find"}]},
]
SEALED = Message("assistant", "Sealed.", channel="analysis")


def unseal(blob):
    if blob != "good":
        raise EncryptedContentError("no")
    return (SEALED,)


def read(value, history=None):
    reader = InputReader(declare(TOOLS), unseal, history)
    reader.read(value, "input")
    return reader.history(), [note.code for note in reader.notes]


def messages(value):
    history, notes = read(value)
    assert notes == []
    return history.messages


def thought(text):
    return Message("assistant", text, channel="analysis")


def said(text, channel="final"):
    return Message("assistant", text, channel=channel)


@pytest.mark.parametrize("value", [None, "", []])
def test_nothing(value):
    assert read(value) == (History(), [])


def test_text_is_the_user():
    assert messages("Hello") == messages({"role": "user", "content": "Hello"}) == (user("Hello"),)


def test_messages_of_every_role():
    history, _ = read(
        [
            {"role": "system", "content": "A."},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "B."}]},
            {"type": "message", "role": "user", "content": "Hi"},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "Ho"}],
            },
            {"role": "developer", "content": "C."},
        ]
    )
    assert history.lead == ("A.", "B.")
    assert history.messages == (user("Hi"), said("Ho"), Message("developer", DeveloperContent("C.")))


def test_phases():
    items = [
        {"role": "assistant", "phase": "commentary", "content": "One."},
        {"role": "assistant", "phase": "final_answer", "content": "Two."},
        {"role": "assistant", "content": "Three."},
        {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"},
    ]
    assert [m.channel for m in messages(items)] == ["commentary", "final", "commentary", "commentary"]


def test_calls_and_their_results():
    items = [
        {"type": "function_call", "name": "f", "call_id": "a", "arguments": '{"x":1}'},
        {"type": "function_call_output", "call_id": "a", "output": "one"},
        {"type": "function_call", "name": "find", "namespace": "db", "call_id": "b", "arguments": "{}"},
        {"type": "custom_tool_call", "name": "code", "call_id": "c", "input": "print()"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "two"}],
        },
        {"type": "function_call_output", "call_id": "b", "output": {"rows": []}},
    ]
    history, notes = read(items)
    json = "<|constrain|>json"
    assert notes == []
    assert history.messages == (
        Message("assistant", '{"x":1}', channel="commentary", recipient="functions.f", content_type=json),
        tool_result("functions.f", "one"),
        Message("assistant", "{}", channel="commentary", recipient="db.find", content_type=json),
        Message("assistant", "print()", channel="commentary", recipient="functions.code"),
        tool_result("functions.code", "two"),
        tool_result("db.find", '{"rows": []}'),
    )
    assert history.calls == {"a": "functions.f", "b": "db.find", "c": "functions.code"}


def test_reasoning():
    items = [
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "A"}],
        },
        {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "B"}]},
        {"type": "reasoning", "id": "rs", "summary": []},
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [{"type": "summary_text", "text": "C"}],
            "encrypted_content": "good",
        },
        {"type": "compaction", "encrypted_content": "good"},
    ]
    assert messages(items) == (thought("A"), thought("B"), SEALED, SEALED)


def test_a_forged_seal():
    with pytest.raises(EncryptedContentError) as error:
        read([{"type": "reasoning", "summary": [], "encrypted_content": "forged"}])
    assert error.value.param == "input[0].encrypted_content"


def test_what_is_unknown():
    history, notes = read(
        [
            {"type": "agent_note", "text": "Look."},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "data:"}]},
        ]
    )
    assert history.messages == (user("Look."), user("[image not shown: this model reads text only]"))
    assert sorted(notes) == ["not-shown", "unknown-item", "unknown-item"]


def test_behind_a_history():
    call = Message("assistant", "{}", channel="commentary", recipient="functions.f")
    before = History(("Be kind.",), (user("Hi"), call), {"a": "functions.f"})
    history, _ = read([{"type": "function_call_output", "call_id": "a", "output": "one"}], before)
    assert history.lead == before.lead
    assert history.messages == (*before.messages, tool_result("functions.f", "one"))


@pytest.mark.parametrize(
    ("value", "param"),
    [
        (5, "input"),
        (b"x", "input"),
        (["text"], "input[0]"),
        ([{"role": "tool", "content": "x"}], "input[0].role"),
        ([{"role": "user"}], "input[0].content"),
        ([{"role": "user", "content": 5}], "input[0].content"),
        ([{"role": "assistant", "phase": "late", "content": "x"}], "input[0].phase"),
        ([{"type": "function_call", "arguments": "{}", "call_id": "a"}], "input[0]"),
        ([{"type": "function_call", "name": "a b", "arguments": "{}", "call_id": "a"}], "input[0]"),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], "input[0]"),
        ([{"type": "function_call_output", "call_id": "x", "output": ""}], "input[0]"),
        ("\ud800", "input"),
    ],
)
def test_what_is_no_input(value, param):
    with pytest.raises(InputError) as error:
        read(value)
    assert error.value.param == param


def test_a_reference_to_nothing():
    with pytest.raises(NotFoundError) as error:
        read([{"type": "item_reference", "id": "msg_1"}])
    assert error.value.param == "input[0]"
