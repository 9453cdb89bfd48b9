"""The Responses API: items, whole objects, and what is refused, where."""

from typing import Any

import pytest

from ossia.errors import InputError
from ossia.harmony.formats.responses import conversation_from_response
from ossia.harmony.messages import (
    DeveloperContent,
    Message,
    SystemContent,
    TextInput,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)


def said(source: Any, **options: Any) -> tuple[Message, ...]:
    conversation = conversation_from_response(source, **options)
    assert conversation.messages[0].role == "system"
    return conversation.messages[1:]


def spoken(text: str, **fields: Any) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "id": "m", "content": parts, **fields}


def thought(text: str) -> dict[str, Any]:
    return {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}


CALL = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1", "status": "completed"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "1"}
HARMONY_CALL = Message("assistant", "{}", None, "commentary", "functions.f", "<|constrain|>json")


def assistant(text: str, channel: str) -> Message:
    return Message("assistant", text, channel=channel)


def test_a_whole_response() -> None:
    response = {
        "object": "response",
        "id": "resp_1",
        "instructions": "Be brief.",
        "reasoning": {"effort": "minimal", "summary": None},
        "tools": [
            {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
            {"type": "custom", "name": "sh", "format": {"type": "text"}},
        ],
        "input": [{"role": "developer", "content": "Politely."}, {"role": "user", "content": "Hello"}],
        "output": [thought("Hm."), spoken("I look."), CALL, OUTPUT, thought("So."), spoken("Done.")],
    }
    tools = (ToolSpec("f", "", {"type": "object"}, strict=True), ToolSpec("sh", text_input=TextInput()))
    assert conversation_from_response(response).messages == (
        Message("system", SystemContent(effort="low")),
        Message(
            "developer",
            DeveloperContent("Be brief.\n\nPolitely.", (ToolNamespace("functions", tools=tools),)),
        ),
        user("Hello"),
        assistant("Hm.", "analysis"),
        assistant("I look.", "commentary"),
        HARMONY_CALL,
        tool_result("functions.f", "1"),
        assistant("So.", "analysis"),
        assistant("Done.", "final"),
    )


def test_items_alone_and_input_as_text() -> None:
    assert said([{"role": "user", "content": "a"}, spoken("b")]) == (user("a"), assistant("b", "final"))
    assert said({"input": "a", "output": [spoken("b")]}) == (user("a"), assistant("b", "final"))
    own = SystemContent(identity="You are Pocket.")
    messages = conversation_from_response({"input": "a"}, system=own, effort="high").messages
    assert messages[0] == Message("system", SystemContent(identity="You are Pocket.", effort="high"))


def test_what_a_call_follows_in_the_same_turn_is_a_preamble() -> None:
    asked = {"role": "user", "content": "a"}
    assert said([spoken("b"), thought("t"), CALL])[0] == assistant("b", "commentary")
    assert said([spoken("b"), asked, CALL])[0] == assistant("b", "final")
    assert said({"input": [asked, spoken("b")], "output": [CALL]})[1] == assistant("b", "commentary")
    assert said([spoken("b", phase="commentary")]) == (assistant("b", "commentary"),)
    assert said([spoken("b", phase="final_answer"), CALL])[0] == assistant("b", "final")


def test_reasoning_as_far_as_it_can_be_read() -> None:
    summed_up = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "In short."}]}
    assert said([summed_up]) == (assistant("In short.", "analysis"),)
    assert said([{"type": "reasoning", "summary": [], "encrypted_content": "x"}]) == ()


def test_custom_calls_and_outputs_in_parts() -> None:
    items = [
        {"type": "custom_tool_call", "name": "sh", "input": "ls", "call_id": "c"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "x"}],
        },
    ]
    assert said(items) == (
        Message("assistant", "ls", None, "commentary", "functions.sh"),
        tool_result("functions.sh", "a\n[image not shown: this model reads text only]"),
    )


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ([CALL, {"type": "web_search_call"}], r"items\[1\]: an item of type 'web_search_call'"),
        ({"output": [OUTPUT]}, r"output\[0\]: no call has the id 'c1'"),
        ([{**CALL, "call_id": None}], r"items\[0\]: call_id is missing"),
        ([{**CALL, "arguments": {}}], r"items\[0\]: arguments is an object"),
        ([CALL, {**OUTPUT, "output": None}], r"items\[1\]: output is missing"),
        ([{"role": "user"}], r"items\[0\]: a message without content"),
        ([{"role": "tool", "content": "a"}], r"items\[0\]: unknown role 'tool'"),
        ([spoken("a", phase="late")], "unknown phase 'late'"),
        ([[]], r"items\[0\]: a list where an object"),
        ({"input": 3}, "input: a number where a list"),
        ({"reasoning": {"effort": "utmost"}}, "reasoning.effort: unknown effort 'utmost'"),
        ({"reasoning": "high"}, "reasoning: text where an object"),
        ({"tools": [{"type": "mcp"}]}, r"tools\[0\]: a tool of type 'mcp'"),
        (3, "response: a number where an object"),
        ("a", "items: text where a list"),
    ],
)
def test_what_is_refused_is_named_with_its_place(source: Any, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        conversation_from_response(source)
    assert caught.value.limit is not None
