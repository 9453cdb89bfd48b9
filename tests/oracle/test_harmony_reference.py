"""Harmony beside openai-harmony 0.0.8, live: rendering, the drop rule on both sides, parsing."""

import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai_harmony as reference
import pytest

from ossia.harmony import (
    Conversation,
    DeveloperContent,
    Message,
    StreamParser,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    parse,
    render_conversation,
    render_message,
    tool_result,
    user,
)
from ossia.tokenizer import load_o200k_harmony

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = runpy.run_path(str(GOLDEN / "words_cases.py"))
MAKER = runpy.run_path(str(GOLDEN / "make_words.py"))
TOK = load_o200k_harmony()
FIELDS = ("role", "name", "channel", "recipient", "content_type", "text")


@pytest.fixture(scope="module")
def encoding() -> reference.HarmonyEncoding:
    return MAKER["load_reference"]()


@pytest.mark.parametrize("name", CASES["CONVERSATIONS"])
def test_conversations_render_alike(encoding: Any, name: str) -> None:
    conversation = CASES["CONVERSATIONS"][name]
    for drop in (True, False):
        theirs = MAKER["render"](encoding, conversation, drop)
        assert render_conversation(conversation, TOK, drop_analysis=drop) == theirs
    completed = encoding.render_conversation_for_completion(
        MAKER["to_reference"](conversation), reference.Role.ASSISTANT
    )
    assert render_conversation(conversation, TOK, completion=True) == completed


@pytest.mark.parametrize("name", CASES["DROPPED_DIFFERENTLY"])
def test_the_reference_brings_dropped_analysis_back_and_ossia_does_not(encoding: Any, name: str) -> None:
    conversation = CASES["DROPPED_DIFFERENTLY"][name]
    theirs = MAKER["render"](encoding, conversation)
    ours = render_conversation(conversation, TOK)
    assert len(ours) < len(theirs)
    finals = [i for i, m in enumerate(conversation.messages) if m.channel == "final"]
    kept = [m for i, m in enumerate(conversation.messages) if m.channel != "analysis" or i > finals[-1]]
    assert ours == MAKER["render"](encoding, Conversation(tuple(kept)), drop=False)


def test_builtin_namespaces_of_the_reference(encoding: Any) -> None:
    config = [reference.ToolNamespaceConfig.browser(), reference.ToolNamespaceConfig.python()]
    ours = tuple(
        ToolNamespace(
            ns.name,
            ns.description or "",
            tuple(ToolSpec(t.name, t.description, t.parameters) for t in ns.tools),
        )
        for ns in config
    )
    content = reference.SystemContent.new().with_browser_tool().with_python_tool()
    theirs = encoding.render(reference.Message.from_role_and_content(reference.Role.SYSTEM, content))
    assert render_message(Message("system", SystemContent(tools=ours)), TOK) == theirs


def random_schema(rng: random.Random, depth: int = 0) -> Any:
    """A JSON Schema that uses, and misuses, every keyword the reference looks at."""
    if rng.random() < 0.03:
        return rng.choice([True, False, None, [], "string"])
    schema: dict[str, Any] = {}
    kinds = ["object", "array", "string", "number", "integer", "boolean", "null", "date"]
    if rng.random() < 0.85:
        types = [rng.choice(kinds) for _ in range(rng.randrange(3))]
        schema["type"] = types if rng.random() < 0.2 else rng.choice(kinds)
    texts = ["", "plain", "two\nlines", 'a "quoted" \\ word', "한국어", "\t\u0001", "null"]
    for key in ("description", "title"):
        if rng.random() < 0.4:
            schema[key] = rng.choice([*texts, 5, None])
    values = [*texts, 0, -1, 1.5, 1e-9, 1e22, 2**70, True, None, [1, "a"], {"k": "v", "l": []}]
    if rng.random() < 0.3:
        schema["default"] = rng.choice(values)
    if rng.random() < 0.25:
        schema["enum"] = rng.choice([[], ["a", "b"], [1, "a", None], "a", ['q"q']])
    if rng.random() < 0.15:
        schema["examples"] = rng.choice([[], ["a", 1, "b"], "a"])
    if rng.random() < 0.2:
        schema["nullable"] = rng.choice([True, False, "yes"])
    if depth < 4:
        if rng.random() < 0.7:
            names = rng.sample(["a", "b c", "$d", "é", "null"], rng.randrange(5))
            schema["properties"] = {name: random_schema(rng, depth + 1) for name in names}
            schema["required"] = rng.choice([names[:1], names, [1], "a", None])
        if rng.random() < 0.5:
            schema["items"] = random_schema(rng, depth + 1)
        if rng.random() < 0.25:
            variants = [random_schema(rng, depth + 1) for _ in range(rng.randrange(4))]
            schema["oneOf"] = rng.choice([variants, variants, variants, None, "a"])
    return schema


def test_random_schemas_render_alike(encoding: Any) -> None:
    rng = random.Random(4)
    for _ in range(3_000):
        schema = random_schema(rng)
        tools = (
            ToolSpec(
                "f", rng.choice(["", "One.\n", "a\r\nb\n\n"]), schema if isinstance(schema, dict) else {}
            ),
        )
        content = DeveloperContent(None, (ToolNamespace("functions", "", tools),))
        conversation = Conversation((Message("developer", content),))
        ours = render_conversation(conversation, TOK)
        assert TOK.decode(ours) == encoding.decode(MAKER["render"](encoding, conversation)), schema


def random_message(rng: random.Random) -> Message:
    text = rng.choice(["", "plain", "<|end|>", "안녕 🫠", '{"a": 1}', " \n", "a\n\nb"])
    kind = rng.randrange(4)
    if kind == 0:
        return user(text)
    if kind == 1:
        return tool_result(
            rng.choice(["functions.x", "python"]), text, rng.choice(["commentary", "analysis"])
        )
    recipient = rng.choice(["functions.get_it", "browser.open", "python"]) if kind == 2 else None
    # The reference reads a lone content type as a recipient: only calls have one here.
    content_type = rng.choice(["<|constrain|>json", "json", None]) if recipient else None
    channel = rng.choice(["analysis", "commentary", "final"])
    return Message("assistant", text, channel=channel, recipient=recipient, content_type=content_type)


def test_random_conversations_render_and_parse_alike(encoding: Any) -> None:
    rng = random.Random(5)
    for _ in range(1_000):
        conversation = Conversation(tuple(random_message(rng) for _ in range(rng.randrange(8))))
        ids = render_conversation(conversation, TOK, drop_analysis=False)
        assert ids == MAKER["render"](encoding, conversation, drop=False)
        messages, _ = parse(ids, TOK)
        assert tuple(messages) == conversation.messages
        assert [{name: getattr(m, name) for name in FIELDS} for m in messages] == MAKER["parse"](
            encoding, ids
        )


SAMPLED: dict[str, Callable[[list[int]], list[int]]] = {
    "whole": lambda ids: ids,
    "cut": lambda ids: ids[:-3],  # within the last body: in a header the reference raises
}


@pytest.mark.parametrize("cut", SAMPLED)
def test_streams_parse_alike(encoding: Any, cut: str) -> None:
    """What an assistant samples, with the recipient on either side, delta by delta."""
    head = "<|channel|>analysis<|message|>생각 🫠<|end|><|start|>assistant"
    tails = [
        "<|channel|>final<|message|>네, 안녕 🫠!<|return|>",
        '<|channel|>commentary to=functions.x <|constrain|>json<|message|>{"a": "é"}<|call|>',
        ' to=functions.x<|channel|>commentary <|constrain|>json<|message|>{"a": "é"}<|call|>',
    ]
    for tail in tails:
        ids = SAMPLED[cut](encoding.encode(head + tail, allowed_special="all"))
        theirs = reference.StreamableParser(encoding, reference.Role.ASSISTANT)
        ours = StreamParser(TOK)
        their_text, our_text = "", ""
        for i in ids:
            theirs.process(i)
            their_text += theirs.last_content_delta or ""
            our_text += "".join(getattr(event, "text", "") for event in ours.feed(i))
            assert our_text == their_text
        ours.finish()
        theirs.process_eos()
        expected = [(m.channel, m.recipient, m.content_type, m.content[0].text) for m in theirs.messages]
        assert [(m.channel, m.recipient, m.content_type, m.text) for m in ours.messages] == expected


SLIPS = [
    "<|channel|>final<|message|>Hi<|return|><|return|>",
    "<|channel|>analysis<|message|>hm<|end|>assistant<|channel|>final<|message|>Hi<|return|>",
    "<|channel|>commentary to=functions.x json extra words<|message|>{}<|call|>",
    "<|channel|><|message|>Hi<|return|>",
]


@pytest.mark.parametrize("text", SLIPS)
def test_where_the_reference_raises_ossia_reads_on(encoding: Any, text: str) -> None:
    ids = encoding.encode(text, allowed_special="all")
    with pytest.raises(reference.HarmonyError):
        encoding.parse_messages_from_completion_tokens(ids, reference.Role.ASSISTANT)
    messages, notes = parse(ids, TOK, "assistant")
    assert messages[-1].text in ("Hi", "{}")
    assert notes
