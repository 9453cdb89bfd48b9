"""Documents: every form is told apart, and data that is none says what was looked for."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.errors import InputError
from ossia.harmony.formats.chat import conversation_from_chat
from ossia.harmony.formats.document import Document, read_document
from ossia.harmony.formats.responses import conversation_from_response
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.render import render_conversation
from ossia.tokenizer import load_o200k_harmony

TOK = load_o200k_harmony()
TEXT = "<|start|>user<|message|>Hi<|end|>"
CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
OUTPUT = [{"type": "message", "role": "assistant", "content": "Ho"}]


def read(value: Any) -> Document:
    return read_document(value if isinstance(value, str) else json.dumps(value), TOK)


def test_harmony_text() -> None:
    expected = Document("text", ids=tuple(ids_from_text(TEXT, TOK)))
    assert read(TEXT) == read(TEXT + "\n") == read(TEXT + "\r\n") == read("\ufeff" + TEXT) == expected
    assert read({"text": TEXT}) == expected
    assert read(TEXT + "\n\n").ids == tuple(ids_from_text(TEXT + "\n", TOK))
    assert read("[" + TEXT).ids == tuple(ids_from_text("[" + TEXT, TOK))


def test_token_ids() -> None:
    assert read(" [200006, 1, -5]\n") == Document("ids", ids=(200006, 1, -5))


def test_chat_messages() -> None:
    assert (
        read(CHAT) == read({"messages": CHAT}) == Document("chat", conversation=conversation_from_chat(CHAT))
    )
    whole = read({"messages": CHAT, "tools": TOOLS, "reasoning_effort": "high", "model": "x"})
    assert whole.conversation == conversation_from_chat(CHAT, TOOLS, effort="high")


def test_responses() -> None:
    expected = conversation_from_response(OUTPUT)
    assert read(OUTPUT) == read({"output": OUTPUT}) == Document("responses", conversation=expected)
    request = {"input": "Hi", "instructions": "x"}
    assert read(request).conversation == conversation_from_response(request)
    mixed = [CHAT[0], {"type": "reasoning", "summary": []}]
    assert read(mixed).kind == "responses"


@pytest.mark.parametrize(
    "data",
    [
        "",
        "  \n",
        "Hello",
        "[]",
        "{}",
        "[1, 2.5]",
        "[true]",
        '["a"]',
        "[1, ",
        '{"a": 1}',
        '{"text": "a"}',
        '"a"',
        "[{}]",
    ],
)
def test_anything_else_is_refused_with_what_was_looked_for(data: str) -> None:
    with pytest.raises(InputError, match="this is no conversation") as caught:
        read(data)
    for form in ("Harmony text", "token ids", "chat messages", "Responses object"):
        assert form in caught.value.remedy


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(InputError, match="begins like JSON"):
        read("[" * 100_000)


KEYS = ("role", "content", "type", "text", "name", "arguments", "tool_calls", "function", "tools", "messages")
KEYS += (
    "input",
    "output",
    "call_id",
    "tool_call_id",
    "reasoning",
    "effort",
    "instructions",
    "parameters",
    "format",
)
WORDS = ("user", "assistant", "tool", "system", "function", "custom", "message", "reasoning", "function_call")
WORDS += (
    "function_call_output",
    "custom_tool_call",
    "grammar",
    "regex",
    "high",
    "output_text",
    "two words",
    "\ud800",
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=24,
)
words, names = st.sampled_from(WORDS), st.sampled_from(["f", "two words", "", "user"])
kinds = st.sampled_from(["function_call", "function_call_output", "reasoning", "message"])
calls = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": names, "arguments": words | values})}
)
items = st.one_of(
    values,
    st.fixed_dictionaries({"role": words, "content": values}),
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system"]), "content": words}),
    st.fixed_dictionaries({"role": st.just("assistant"), "tool_calls": st.lists(calls), "content": words}),
    st.fixed_dictionaries(
        {"type": kinds, "name": names, "arguments": words, "call_id": words, "output": words}
    ),
)
documents = st.one_of(
    values,
    st.lists(items, max_size=4),
    st.fixed_dictionaries(
        {"messages": st.lists(items, max_size=4)}, optional={"tools": values | st.lists(items)}
    ),
    st.fixed_dictionaries(
        {"output": st.lists(items, max_size=4)}, optional={"instructions": values, "tools": values}
    ),
)


@settings(max_examples=150, deadline=None)
@given(value=documents)
def test_whatever_the_json_says_it_is_read_or_refused(value: Any) -> None:
    try:
        document = read(json.dumps(value))
    except InputError:
        return
    assert (document.ids is None) != (document.conversation is None)
    if document.conversation is not None:
        render_conversation(document.conversation, TOK, schema="full")


def test_a_fault_inside_is_named_with_its_place() -> None:
    with pytest.raises(InputError, match=r"messages\[0\]: unknown role"):
        read({"messages": [{"role": "x"}]})
