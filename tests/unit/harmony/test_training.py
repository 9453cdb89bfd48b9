"""The training view: written examples, every id of them told to be learnt or not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ossia.errors import InputError
from ossia.harmony.formats.text import ids_from_text
from ossia.harmony.messages import (
    Conversation,
    DeveloperContent,
    Message,
    SystemContent,
    ToolNamespace,
    ToolSpec,
    tool_result,
    user,
)
from ossia.harmony.parse import parse
from ossia.harmony.render import render_conversation, render_message
from ossia.harmony.training import NOT_LEARNT, TrainingExample, training_examples, training_rows
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"
TOK = load_o200k_harmony()
OPEN = "<|start|>assistant"


def shown(*pieces: str) -> TrainingExample:
    """An example as text: what is learnt and what is not in turns, beginning with what is not."""
    ids: list[int] = []
    labels: list[int] = []
    for at, piece in enumerate(pieces):
        part = ids_from_text(piece, TOK)
        ids += part
        labels += part if at % 2 else [NOT_LEARNT] * len(part)
    return TrainingExample(ids, labels)


def said(text: str, channel: str) -> Message:
    return Message("assistant", text, channel=channel)


def examples(*messages: Message) -> list[TrainingExample]:
    return training_examples(Conversation(messages), TOK)


CALL = Message("assistant", "{}", None, "commentary", "functions.x", "<|constrain|>json")
CALL_TEXT = " to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>"
RESULT = tool_result("functions.x", "1")
RESULT_TEXT = "<|start|>functions.x to=assistant<|channel|>commentary<|message|>1<|end|>"


def test_two_turns_the_first_with_a_tool_loop() -> None:
    first = [user("a"), said("b", "analysis"), said("c", "commentary"), CALL, RESULT]
    first += [said("d", "analysis"), said("e", "final")]
    second = [user("f"), said("g", "analysis"), said("h", "final")]
    assert examples(*first, *second) == [
        shown(
            f"<|start|>user<|message|>a<|end|>{OPEN}",
            f"<|channel|>analysis<|message|>b<|end|>{OPEN}<|channel|>commentary<|message|>c<|end|>{OPEN}{CALL_TEXT}",
            f"{RESULT_TEXT}{OPEN}",
            f"<|channel|>analysis<|message|>d<|end|>{OPEN}<|channel|>final<|message|>e<|return|>",
        ),
        shown(
            f"<|start|>user<|message|>a<|end|>{OPEN}<|channel|>commentary<|message|>c<|end|>{OPEN}{CALL_TEXT}"
            f"{RESULT_TEXT}{OPEN}<|channel|>final<|message|>e<|end|><|start|>user<|message|>f<|end|>{OPEN}",
            f"<|channel|>analysis<|message|>g<|end|>{OPEN}<|channel|>final<|message|>h<|return|>",
        ),
    ]


def test_after_a_call_the_next_one_is_a_step_of_its_own() -> None:
    (example,) = examples(user("a"), CALL, CALL, RESULT, RESULT, said("b", "final"))
    assert example == shown(
        f"<|start|>user<|message|>a<|end|>{OPEN}",
        CALL_TEXT,
        OPEN,
        CALL_TEXT,
        f"{RESULT_TEXT}{RESULT_TEXT}{OPEN}",
        "<|channel|>final<|message|>b<|return|>",
    )


def test_each_example_has_the_system_message_of_its_time() -> None:
    tools = (ToolNamespace("functions", tools=(ToolSpec("x"),)),)
    later = Message("developer", DeveloperContent(None, tools))
    first = (Message("system", SystemContent()), user("a"), said("b", "final"))
    talk = Conversation((*first, later, user("c"), said("d", "final")))
    for example, end in zip(training_examples(talk, TOK), (2, 5), strict=True):
        prompt = render_conversation(Conversation(talk.messages[:end]), TOK, completion=True)
        assert example.input_ids[: len(prompt)] == prompt
        assert example.labels[: len(prompt)] == [NOT_LEARNT] * len(prompt)
        assert example.labels[len(prompt) :] == example.input_ids[len(prompt) :]


def test_a_turn_without_a_final_is_learnt_as_far_as_it_was_sampled() -> None:
    asked = f"<|start|>user<|message|>a<|end|>{OPEN}"
    thought = "<|channel|>analysis<|message|>b"
    assert examples(user("a"), said("b", "analysis")) == [shown(asked, thought)]
    assert examples(user("a"), CALL) == [shown(asked, CALL_TEXT)]
    assert examples(user("a"), CALL, RESULT) == [shown(asked, CALL_TEXT)]
    (ended,), _ = parse(ids_from_text(f"{OPEN}{thought}<|end|>", TOK), TOK, strict=False)
    assert examples(user("a"), ended) == [shown(asked, f"{thought}<|end|>")]
    (cut,), _ = parse(ids_from_text(f"{OPEN}<|channel|>final<|message|>b", TOK), TOK)
    assert examples(user("a"), cut) == [shown(asked, "<|channel|>final<|message|>b")]


def test_a_user_who_interrupts_begins_a_turn_which_still_sees_the_thought() -> None:
    interrupted = examples(user("a"), said("b", "analysis"), user("c"), user("d"), said("e", "final"))
    asked = f"<|start|>user<|message|>a<|end|>{OPEN}"
    assert interrupted == [
        shown(asked, "<|channel|>analysis<|message|>b"),
        shown(
            f"{asked}<|channel|>analysis<|message|>b<|end|>"
            f"<|start|>user<|message|>c<|end|><|start|>user<|message|>d<|end|>{OPEN}",
            "<|channel|>final<|message|>e<|return|>",
        ),
    ]


def test_without_an_assistant_there_is_no_example() -> None:
    assert examples() == examples(user("a")) == examples(Message("system", SystemContent())) == []


def test_what_was_sampled_after_a_cut_begins_a_step() -> None:
    (cut,), _ = parse(ids_from_text("<|channel|>analysis<|message|>b", TOK), TOK, "assistant")
    assert examples(user("a"), cut, said("c", "final")) == [
        shown(
            f"<|start|>user<|message|>a<|end|>{OPEN}",
            "<|channel|>analysis<|message|>b",
            f"<|end|>{OPEN}",
            "<|channel|>final<|message|>c<|return|>",
        )
    ]


def test_a_step_that_no_prompt_could_open_so_is_learnt_canonically() -> None:
    final = said("b", "final")
    ids = render_message(final, TOK)
    odd_header = (ids[0], *[i for c in "assistant" for i in TOK.encode(c)], *ids[2:5])
    odd = final.with_ids(odd_header, (*TOK.encode("b"),), (TOK.markers.return_,), TOK.name)
    assert render_message(odd, TOK) != ids
    assert examples(user("a"), odd) == examples(user("a"), final)
    inside = examples(user("a"), said("t", "analysis"), odd)
    assert inside != examples(user("a"), said("t", "analysis"), final)


@pytest.mark.parametrize("schema", ["compat", "full"])
def test_schema_mode_reaches_the_context(schema: Any) -> None:
    nothing = {
        "type": "object",
        "properties": {"a": {"const": 1}, "b": {"$ref": "#/$defs/x"}},
        "$defs": {"x": {}},
    }
    row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    (example,) = training_rows([row | {"tools": [{"name": "f", "parameters": nothing}]}], TOK, schema=schema)
    other: Any = "full" if schema == "compat" else "compat"
    (unlike,) = training_rows([row | {"tools": [{"name": "f", "parameters": nothing}]}], TOK, schema=other)
    assert example != unlike


def chat(*messages: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    return {"messages": list(messages), **fields}


ASKED, ANSWERED = {"role": "user", "content": "a"}, {"role": "assistant", "content": "c", "thinking": "b"}


def test_rows_of_chat_messages() -> None:
    rows = [
        chat(ASKED, ANSWERED, ASKED, ANSWERED),
        chat(ASKED, ANSWERED, tools=None, reasoning_effort="high"),
    ]
    talk = (user("a"), said("b", "analysis"), said("c", "final"))
    medium = Message("system", SystemContent())
    high = Message("system", SystemContent(effort="high"))
    made = [*examples(medium, *talk, *talk), *examples(high, *talk)]
    assert list(training_rows(rows, TOK)) == [e.as_dict() for e in made]
    assert list(training_rows(rows, TOK, last_turn_only=True)) == [made[1].as_dict(), made[2].as_dict()]


def test_what_a_table_pads_rows_with_is_left_out() -> None:
    def row(properties: dict[str, Any], arguments: Any, **padding: Any) -> dict[str, Any]:
        tool = {"name": "f", "parameters": {"type": "object", "properties": properties}}
        call = {"function": {"name": "f", "arguments": arguments}}
        return chat(ASKED, {"role": "assistant", "tool_calls": [call]} | padding, tools=[tool])

    plain = row({"a": {"type": "string"}}, {"a": "x"})
    padded = row({"a": {"type": "string", "enum": None}, "b": None}, {"a": "x", "b": None}, thinking=None)
    assert list(training_rows([padded], TOK)) == list(training_rows([plain], TOK))
    meant = row({"a": {"type": "string"}}, '{"a":"x","b":null}')
    (example,) = training_rows([meant], TOK)
    assert '{"a":"x","b":null}<|call|>' in TOK.decode(example["input_ids"])


def test_rows_of_harmony_text_are_learnt_as_they_are_spelt() -> None:
    one = "<|start|>system<|message|>Anything<|end|><|start|>user<|message|>a<|end|>"
    thought = f"{OPEN}<|channel|>analysis<|message|>b<|end|>"
    called = (
        f"{OPEN}<|channel|>commentary to=functions.x <|constrain|>json<|message|>{{}}<|call|>{RESULT_TEXT}"
    )
    two = "<|start|>user<|message|>d<|end|>"
    finals = [f"{OPEN}<|channel|>final<|message|>{text}" for text in "ce"]
    text = f"{one}{thought}{called}{finals[0]}<|end|>{two}{finals[1]}"
    expected = [
        shown(
            f"{one}{OPEN}",
            (thought + called).removeprefix(OPEN).removesuffix(RESULT_TEXT),
            f"{RESULT_TEXT}{OPEN}",
            "<|channel|>final<|message|>c<|return|>",
        ),
        shown(
            f"{one}{called}{OPEN}<|channel|>final<|message|>c<|end|>{two}{OPEN}",
            "<|channel|>final<|message|>e<|return|>",
        ),
    ]
    for end in ("<|return|>", "<|end|>", "<|return|>\n"):
        assert list(training_rows([{"text": text + end}], TOK)) == [e.as_dict() for e in expected]


def test_harmony_text_in_a_small_vocabulary() -> None:
    tok: Tokenizer = load_checkpoint_tokenizer(TINY)
    talk = Conversation((user("a"), replace(CALL, recipient_in="channel"), RESULT, said("b", "final")))
    text = tok.decode(render_conversation(talk, tok))
    (row,) = training_rows([{"text": text}], tok)
    assert tok.decode(row["input_ids"]) == text.removesuffix("<|end|>") + "<|return|>"
    learnt = [i for i in row["labels"] if i != NOT_LEARNT]
    assert tok.decode(learnt) == (
        "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>"
        "<|channel|>final<|message|>b<|return|>"
    )


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (chat({"role": "x"}), r"rows\[1\]: messages\[0\]: unknown role 'x'"),
        (chat(ASKED), r"rows\[1\]: the row: no assistant message to learn"),
        (chat(ASKED, ANSWERED, reasoning_effort="utmost"), r"rows\[1\]: reasoning_effort: unknown effort"),
        (chat(ASKED, ANSWERED, tools=[{"type": "x"}]), r"rows\[1\]: tools\[0\]: a tool of type 'x'"),
        ({"messages": "a"}, r"rows\[1\]: messages: text where a list should be"),
        ({"prompt": "a"}, r"rows\[1\]: the row: neither messages nor text"),
        ({"text": 3}, r"rows\[1\]: the row: text is a number"),
        (["a"], r"rows\[1\]: the row: a list where an object should be"),
        ({"text": "Hello"}, r"rows\[1\]: "),
        ({"text": f"{OPEN}<|channel|>final<|message|>a<|end|>{OPEN}<|channel|>fi"}, r"rows\[1\]: "),
        ({"text": ""}, r"rows\[1\]: the row: no assistant message to learn"),
    ],
)
def test_a_bad_row_is_named_with_its_number_and_place(row: Any, told: str) -> None:
    rows = training_rows([chat(ASKED, ANSWERED), row], TOK)
    next(rows)
    with pytest.raises(InputError, match=told) as caught:
        next(rows)
    assert caught.value.limit is not None
