"""StreamableParser under openai-harmony's names: its properties, where it raises, how it recovers."""

import json
import random
from typing import Any

import pytest

from ossia.harmony.compat import (
    HarmonyError,
    Message,
    Role,
    StreamableParser,
    StreamState,
    load_harmony_encoding,
    message_to_ossia,
)
from ossia.harmony.render import render_message
from ossia.tokenizer import load_o200k_harmony

ENC = load_harmony_encoding("HarmonyGptOss")
TOK = load_o200k_harmony()
STEP = (
    "<|channel|>analysis<|message|>생각 🫠<|end|>"
    '<|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>{"a": 1}<|call|>'
)


def ids_of(text: str) -> list[int]:
    return ENC.encode(text, allowed_special="all")


def fed(text: str, role: Role | None = Role.ASSISTANT, *, strict: bool = True) -> StreamableParser:
    parser = StreamableParser(ENC, role, strict=strict)
    for i in ids_of(text):
        parser.process(i)
    return parser


def read(text: str, role: Role | None = Role.ASSISTANT, *, strict: bool = False) -> list[tuple[Any, ...]]:
    messages = ENC.parse_messages_from_completion_tokens(ids_of(text), role, strict=strict)
    return [(m.channel, m.recipient, m.content_type, m.to_dict()["content"][0]["text"]) for m in messages]


def test_a_step_is_read() -> None:
    expected = [
        ("analysis", None, None, "생각 🫠"),
        ("commentary", "functions.x", "<|constrain|>json", '{"a": 1}'),
    ]
    assert read(STEP, strict=True) == read(STEP) == expected
    assert all(m.author.role is Role.ASSISTANT for m in fed(STEP).messages)


def test_state_from_header_to_header() -> None:
    parser = StreamableParser(ENC, Role.ASSISTANT)
    assert (parser.state, parser.current_role) == (StreamState.HEADER, Role.ASSISTANT)
    seen: list[tuple[StreamState, str | None, str]] = []
    for i in ids_of("<|channel|>final<|message|>Hi<|end|><|start|>"):
        parser.process(i)
        seen.append((parser.state, parser.current_channel, parser.current_content))
    assert seen == [
        (StreamState.HEADER, None, ""),
        (StreamState.HEADER, None, ""),
        (StreamState.CONTENT, "final", ""),
        (StreamState.CONTENT, "final", "Hi"),
        (StreamState.EXPECT_START, None, ""),
        (StreamState.HEADER, None, ""),
    ]
    assert (parser.current_role, parser.current_recipient, parser.current_content_type) == (None, None, None)


def test_properties_inside_a_call() -> None:
    parser = fed(STEP[: STEP.index("1}")])
    assert parser.current_role is Role.ASSISTANT
    assert parser.current_recipient == "functions.x"
    assert parser.current_content_type == "<|constrain|>json"
    assert parser.current_content == '{"a": '
    assert parser.last_content_delta == " "
    assert parser.state_data == {
        "state": "Content",
        "header": {
            "author": {"role": "assistant"},
            "recipient": "functions.x",
            "channel": "commentary",
            "content_type": "<|constrain|>json",
        },
        "content_tokens": TOK.encode('{"a": '),
    }
    assert json.loads(json.dumps(parser.state_data)) == parser.state_data


def test_state_data_elsewhere() -> None:
    assert fed("<|start|>functions.x to=assis", None).state_data == {
        "state": "Header",
        "header_tokens": TOK.encode("functions.x to=assis"),
    }
    assert fed(STEP).state_data == {"state": "ExpectStart"}
    named = fed("<|start|>functions.x to=assistant<|channel|>commentary<|message|>", None)
    assert named.state_data["header"]["author"] == {"role": "tool", "name": "functions.x"}


def test_deltas_join_to_the_content() -> None:
    parser = fed("<|channel|>final<|message|>")
    text = ""
    for i in [*TOK.encode("안녕 🫠 café 👩‍👩‍👧"), 9552, *TOK.encode(" end")]:
        text += parser.process(i).last_content_delta or ""
        assert parser.current_content == text
    assert text == "안녕 🫠 café 👩‍👩‍👧 \ufffd end"


def test_text_after_a_broken_character_is_not_held_back() -> None:
    """There " interesting" appears only when the next token comes."""
    parser = fed("<|channel|>final<|message|>")
    parser.process(9552).process(TOK.encode(" interesting")[0])
    assert parser.last_content_delta == "\ufffd interesting"
    assert parser.current_content == " \ufffd interesting"


def test_tokens_are_a_snapshot_that_costs_nothing() -> None:
    parser = fed("<|channel|>final<|message|>Hi")
    before = parser.tokens
    ids = list(before)
    parser.process(TOK.markers.end)
    assert before == ids
    assert parser.tokens == [*ids, TOK.markers.end]
    assert parser.tokens != before
    assert before != "Hi"
    assert (before[-1], before[:2], len(before)) == (ids[-1], ids[:2], len(ids))
    with pytest.raises(IndexError):
        before[len(ids)]
    assert before + [1] == [*ids, 1]  # noqa: RUF005
    assert [1] + before == [1, *ids]  # noqa: RUF005
    assert before + before == ids + ids
    assert repr(before) == repr(ids)
    assert ids[0] in before
    assert TOK.markers.end not in before
    assert ENC.decode(before) == "<|channel|>final<|message|>Hi"


def test_reading_properties_builds_nothing_anew() -> None:
    """What is read at each token must not grow with the stream: no ids or messages are copied or built."""
    parser = fed(STEP)
    first, second = parser.messages, parser.messages
    assert first is not second
    assert [id(m) for m in first] == [id(m) for m in second]
    first.clear()
    assert len(parser.messages) == 2
    assert vars(parser.tokens)["_ids"] is vars(parser)["_tokens"]


def test_process_eos_closes_what_is_under_way() -> None:
    parser = fed("<|channel|>final<|message|>Hi").process_eos()
    assert [m.channel for m in parser.messages] == ["final"]
    assert parser.state is StreamState.EXPECT_START
    parser.process_eos()
    for i in ids_of("<|start|>user<|message|>q<|end|>"):
        parser.process(i)
    assert len(parser.messages) == 2


# What 0.0.8 raises for, and what is read with strict=False.
SLIPS = {
    "no <|message|>": ("I must refuse<|end|>", [(None, None, None, "I must refuse")]),
    "no <|message|> after a channel": (
        "<|channel|>analysis I  must\nrefuse<|end|>",
        [("analysis", None, None, "I  must\nrefuse")],
    ),
    "no <|message|>, and more to come": (
        "I must refuse<|end|><|start|>assistant<|channel|>final<|message|>Sorry.<|return|>",
        [("analysis", None, None, "I must refuse"), ("final", None, None, "Sorry.")],  # there: no channel
    ),
    "two recipients": (
        " to=functions.x<|channel|>commentary to=functions.x<|message|>{}<|call|>",
        [("commentary", "functions.x", None, "{}")],
    ),
    "words in the header": (
        "<|channel|>commentary to=functions.x json extra words<|message|>{}<|call|>",
        [("commentary", "functions.x", "json", "{}")],
    ),
    "no channel value": ("<|channel|><|message|>Hi<|return|>", [(None, None, None, "Hi")]),
    "an end too many": (
        "<|channel|>final<|message|>Hi<|return|><|return|>",
        [("final", None, None, "Hi")],
    ),
    "no <|start|>": (
        "<|channel|>analysis<|message|>hm<|end|>assistant<|channel|>final<|message|>Hi<|return|>",
        [("analysis", None, None, "hm"), ("final", None, None, "Hi")],
    ),
    "cut in a header": (
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>fin",
        [("analysis", None, None, "hm")],
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_raise_when_strict_and_are_recovered_otherwise(slip: str) -> None:
    text, expected = SLIPS[slip]
    with pytest.raises(HarmonyError) as caught:
        read(text, strict=True)
    assert "strict=False" in str(caught.value)
    assert read(text) == expected


def test_nothing_at_all_is_a_slip_only_when_strict_and_prompted() -> None:
    assert read("", strict=False) == read("", None, strict=True) == []
    with pytest.raises(HarmonyError, match="Unexpected EOS"):
        read("", strict=True)


def test_unlabelled_text_waits_for_what_comes_next() -> None:
    parser = fed("I must refuse<|end|>", strict=False)
    assert (parser.state, parser.messages) == (StreamState.EXPECT_START, [])
    assert len(parser.process_eos().messages) == 1


def test_no_role_is_a_slip_when_strict() -> None:
    text = "<|start|><|channel|>final<|message|>Hi<|end|>"
    with pytest.raises(HarmonyError, match="did not contain a role"):
        read(text, None, strict=True)
    assert read(text, None) == [("final", None, None, "Hi")]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("<|start|>assistant<|channel|>final to=x y<|message|>", None),
        ("<|start|>assistant<|channel|>final y to=x<|message|>", "unexpected tokens remaining.*y"),
        ("<|start|>assistant to=x<|channel|>final x json<|message|>", "unexpected tokens remaining.*to=x"),
        ("<|start|>assistant<|channel|> final<|message|>", "no channel value"),
        ("<|start|> <|channel|>final<|message|>", "did not contain a role"),
        ("<|start|>lookup<|message|>", None),  # a tool's result; there it is an unknown role
        ("<|start|>user:bob<|message|>", None),
        ("final<|message|>", "Unexpected token"),
    ],
)
def test_where_headers_are_refused(header: str, reason: str | None) -> None:
    parser = StreamableParser(ENC, None)
    *before, last = ids_of(header)
    for i in before if reason != "Unexpected token" else ():
        parser.process(i)
    if reason is None:
        assert parser.process(last).state is StreamState.CONTENT
        return
    with pytest.raises(HarmonyError, match=reason):
        parser.process(last)
    assert parser.state is StreamState.EXPECT_START


def test_an_unknown_author_in_a_sampled_step_is_refused() -> None:
    with pytest.raises(HarmonyError, match="Unknown role: lookup"):
        fed("<|channel|>final<|message|>Hi<|end|><|start|>lookup<|message|>")
    parser = StreamableParser(ENC, Role.ASSISTANT).process(9552)
    with pytest.raises(HarmonyError, match="could not decode header"):
        parser.process(TOK.markers.message)
    assert parser.state is StreamState.EXPECT_START


def test_a_strict_parser_goes_on_after_it_raised() -> None:
    parser = fed("<|channel|>final<|message|>Hi<|return|>")
    with pytest.raises(HarmonyError, match="Unexpected token 17 while expecting start token 200006"):
        parser.process(17)
    for i in ids_of("<|start|>assistant<|channel|>final to=x y z<|message|>")[:-1]:
        parser.process(i)
    with pytest.raises(HarmonyError, match="unexpected tokens remaining in message header"):
        parser.process(TOK.markers.message)
    assert parser.state is StreamState.EXPECT_START
    for i in ids_of("<|start|>assistant<|channel|>final<|message|>there<|return|>"):
        parser.process(i)
    assert [m.to_dict()["content"][0]["text"] for m in parser.messages] == ["Hi", "there"]


def test_a_lone_content_type_is_no_recipient() -> None:
    """There it is: the answer becomes a call to "json"."""
    text = '<|channel|>final <|constrain|>json<|message|>{"a": 1}<|return|>'
    assert read(text, strict=True) == [("final", None, "<|constrain|>json", '{"a": 1}')]


def test_what_was_rendered_is_read_back() -> None:
    """There a named user, and a tool's message to nobody, cannot be read back."""
    user = Message.from_dict({"role": "user", "name": "bob", "content": "Hi"})
    tool = Message.from_dict({"role": "tool", "name": "functions.x", "content": "ok"})
    for message in (user, tool):
        assert ENC.parse_messages_from_completion_tokens(ENC.render(message)) == [message]


def test_control_tokens_never_become_text() -> None:
    """There the next message is swallowed, markers and all, by one that did not end."""
    text = "<|channel|>analysis<|message|>hm<|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    expected = [("analysis", None, None, "hm"), ("final", None, None, "Hi")]
    assert read(text, strict=True) == read(text) == expected


def test_messages_remember_how_they_were_sampled() -> None:
    call = fed(STEP).messages[1]
    sampled = message_to_ossia(call)
    assert sampled.recipient_in == "channel"
    assert (
        ENC.decode(render_message(sampled, TOK)) == "<|start|>assistant" + STEP.split("<|start|>assistant")[1]
    )
    canonical = "<|start|>assistant to=functions.x<|channel|>commentary <|constrain|>json<|message|>"
    assert ENC.decode(ENC.render(call)).startswith(canonical)


def mutated(rng: random.Random) -> list[int]:
    """A step with tokens lost, doubled, swapped for markers, or random ids."""
    ids = ids_of(STEP if rng.random() < 0.5 else "<|channel|>final<|message|>Hi 🫠<|return|>")
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(ids))
        marker = rng.choice([*range(200_000, 200_020), rng.randrange(201_088), 173_781])
        ids[at : at + 1] = rng.choice([[], [ids[at]] * 2, [marker], [ids[at], marker]])
        ids = ids or [marker]
    return ids


def test_whatever_comes_is_read_or_refused() -> None:
    rng = random.Random(7)
    refused = 0
    for _ in range(600):
        ids, role = mutated(rng), rng.choice([Role.ASSISTANT, None])
        parser = StreamableParser(ENC, role, strict=False)
        for i in ids:
            parser.process(i)
            assert (parser.state is StreamState.CONTENT) == ("header" in parser.state_data)
        assert parser.process_eos().messages == ENC.parse_messages_from_completion_tokens(
            ids, role, strict=False
        )
        try:
            strict = ENC.parse_messages_from_completion_tokens(ids, role)
        except HarmonyError:
            refused += 1
        else:
            assert strict == parser.messages
    assert 50 < refused < 550
