"""Incremental rendering: always what rendering anew gives, and an honest word on what was kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.errors import InputError
from ossia.harmony import incremental
from ossia.harmony.incremental import Rendering
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
from ossia.harmony.render import render_conversation, render_message
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"
TOKENIZERS: dict[str, Tokenizer] = {
    "o200k": load_o200k_harmony(),
    "tiny": load_checkpoint_tokenizer(TINY),
}
O200K = TOKENIZERS["o200k"]


def functions(**properties: Any) -> DeveloperContent:
    spec = ToolSpec("x", "Do it.", {"type": "object", "properties": properties})
    return DeveloperContent("Be brief.", (ToolNamespace("functions", tools=(spec,)),))


def analysis(text: str) -> Message:
    return Message("assistant", text, channel="analysis")


def final(text: str) -> Message:
    return Message("assistant", text, channel="final")


def call(text: str) -> Message:
    return Message("assistant", text, None, "commentary", "functions.x", "<|constrain|>json")


def spelt(message: Message, tok: Tokenizer) -> Message:
    """The same message, sampled byte by byte: no tokenizer would write its body so."""
    header = render_message(replace(message, content=""), tok)
    body = [i for byte in message.text for i in tok.encode(byte)]
    return message.with_ids(tuple(header[:-1]), tuple(body), tuple(header[-1:]), tok.name)


SYSTEM, DEVELOPER = Message("system", SystemContent()), Message("developer", functions(a={"type": "string"}))

texts = st.sampled_from(["", "a", "ab ab", "<|end|>", "한국어"])
said = st.builds(user, texts) | st.builds(analysis, texts) | st.builds(final, texts) | st.builds(call, texts)
messages = (
    said
    | st.builds(lambda t: tool_result("functions.x", t), texts)
    | st.builds(lambda t: Message("assistant", t, channel="commentary"), texts)
    | st.builds(lambda t, tok: spelt(t, TOKENIZERS[tok]), said, st.sampled_from(["o200k", "tiny"]))
    | st.sampled_from(
        [
            SYSTEM,
            DEVELOPER,
            Message("system", SystemContent(effort="high")),
            Message("developer", DeveloperContent("Be brief.")),
            Message("developer", functions(a={"enum": [1]})),
            Message("developer", functions(a={"enum": [True]})),
        ]
    )
)
edits = st.tuples(
    st.sampled_from(["append", "append", "append", "insert", "replace", "remove", "truncate", "copy"]),
    st.integers(0, 30),
    st.lists(messages, min_size=1, max_size=4),
    st.booleans(),
)


def edited(old: tuple[Message, ...], kind: str, at: int, new: list[Message]) -> tuple[Message, ...]:
    at = min(at, len(old))
    match kind:
        case "append":
            return (*old, *new)
        case "insert":
            return (*old[:at], *new, *old[at:])
        case "replace":
            return (*old[:at], new[0], *old[at + 1 :])
        case "remove":
            return (*old[:at], *old[at + 1 :])
        case "truncate":
            return old[:at]
        case _:  # equal messages, none of them the same
            return tuple(replace(message) for message in old)


def agreement(old: list[int], new: list[int]) -> int:
    differ = [at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b]
    return differ[0] if differ else min(len(old), len(new))


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=150, deadline=None)
@given(script=st.lists(edits, min_size=1, max_size=8), drop=st.booleans(), canonical=st.booleans())
def test_equals_rendering_anew_whatever_was_edited(
    name: str, script: list[Any], drop: bool, canonical: bool
) -> None:
    tok = TOKENIZERS[name]
    options: dict[str, Any] = {"drop_analysis": drop, "schema": "full", "canonical": canonical}
    rendering = Rendering(tok, **options)
    now: tuple[Message, ...] = ()
    before: list[int] = []
    given_out: list[tuple[Any, list[int]]] = []
    for kind, at, new, completion in script:
        now = edited(now, kind, at, new)
        prompt = rendering.update(Conversation(now), completion=completion)
        ids = list(prompt.ids)
        assert ids == render_conversation(Conversation(now), tok, completion=completion, **options)
        assert prompt.kept == agreement(before, ids)
        before = ids
        given_out.append((prompt.ids, ids))
    assert all(list(view) == ids for view, ids in given_out), "an update changed what was given before"


def six_turns() -> list[tuple[list[Message], list[Message]]]:
    """Per turn: what is said while it goes on, and how much of it is history once it has ended."""
    turns: list[tuple[list[Message], list[Message]]] = []
    for n in range(6):
        thought, call_, result = (
            analysis(f"Thought {n}."),
            call(f'{{"n":{n}}}'),
            tool_result("functions.x", "1"),
        )
        again, call_again, answer = analysis("Once more."), call("{}"), final(f"Answer {n}.")
        asked, preamble = user(f"Question {n}?"), Message("assistant", "I look.", channel="commentary")
        match n % 3:
            case 0:
                turns.append(([asked, thought, answer], [asked, answer]))
            case 1:
                loop = [asked, thought, call_, result, again, answer]
                turns.append((loop, [asked, call_, result, answer]))
            case _:
                loop = [
                    asked,
                    thought,
                    preamble,
                    call_,
                    result,
                    again,
                    call_again,
                    result,
                    analysis("So."),
                    answer,
                ]
                turns.append((loop, [asked, preamble, call_, result, call_again, result, answer]))
    return turns


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_drop_rule_over_six_turns_with_tool_loops(name: str) -> None:
    """Every prompt is put together by hand from single messages: history without thought, then the turn under
    way with all of its own."""
    tok = TOKENIZERS[name]
    rendering = Rendering(tok)

    def ids_of(*messages: Message) -> list[int]:
        return [i for m in messages for i in render_message(m, tok, valid_functions=m is SYSTEM)]

    opened = [tok.markers.start, *tok.encode("assistant")]
    said, history = [SYSTEM, DEVELOPER], [SYSTEM, DEVELOPER]
    before = 0
    for going_on, ended in six_turns():
        for n in range(1, len(going_on)):
            conversation = Conversation((*said, *going_on[:n]))
            prompt = rendering.update(conversation, completion=True)
            assert list(prompt.ids) == ids_of(*history, *going_on[:n]) + opened
            if n > 1:
                assert prompt.kept >= before, "inside a turn nothing is computed twice"
            before = len(prompt.ids) - len(opened)
        said += going_on
        prompt = rendering.update(Conversation(tuple(said)))
        first_dropped = len(ids_of(*history, going_on[0]))
        assert list(prompt.ids) == ids_of(*history, *ended)
        assert first_dropped <= prompt.kept < first_dropped + len(ids_of(analysis(""))), (
            "the header may begin alike, no more"
        )
        history += ended


def test_only_what_is_new_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Message] = []

    def counting(message: Message, *args: Any, **options: Any) -> list[int]:
        rendered.append(message)
        return render_message(message, *args, **options)

    monkeypatch.setattr(incremental, "render_message", counting)
    rendering = Rendering(O200K)
    talk = Conversation((SYSTEM, DEVELOPER, user("a"), analysis("b"), call("{}")))
    rendering.update(talk)
    rendered.clear()
    talk = talk.append(result := tool_result("functions.x", "c"))
    rendering.update(talk)
    assert rendered == [result]
    rendered.clear()
    talk = talk.append(answer := final("d"))
    rendering.update(talk)
    assert rendered == [answer], "what is dropped costs no rendering"
    rendered.clear()
    rendering.update(Conversation(tuple(replace(message) for message in talk.messages)))
    assert rendered == []


def test_a_developer_message_with_functions_changes_the_system_message() -> None:
    rendering = Rendering(O200K)
    plain = Conversation((SYSTEM, user("a")))
    before = rendering.update(plain)
    told = rendering.update(plain.append(DEVELOPER))
    assert list(told.ids) == render_conversation(plain.append(DEVELOPER), O200K)
    assert 0 < told.kept < len(render_message(SYSTEM, O200K)) < len(before.ids)
    assert list(rendering.update(plain).ids) == list(before.ids)


def test_an_equal_message_with_other_ids_is_rendered_anew() -> None:
    rendering = Rendering(O200K)
    message = user("hello")
    first = rendering.update(Conversation((message,)))
    odd = rendering.update(Conversation((spelt(message, O200K),)))
    assert list(odd.ids) != list(first.ids)
    assert odd.kept == 3  # <|start|>user<|message|>
    assert list(rendering.update(Conversation((message,))).ids) == list(first.ids)


def test_a_failure_leaves_it_as_it_was() -> None:
    rendering = Rendering(O200K)
    first = rendering.update(Conversation((user("a"),)))
    with pytest.raises(InputError, match="recipient"):
        rendering.update(Conversation((user("b"), replace(call(""), recipient="two words"))))
    second = rendering.update(Conversation((user("a"), final("b"))))
    assert second.kept == len(first.ids)


def test_ids_are_what_numpy_takes_whole() -> None:
    prompt = Rendering(O200K).update(Conversation((user("한국어"),)))
    ids = np.asarray(prompt.ids)
    assert (ids.dtype, ids.ndim, ids.flags.writeable) == (np.int32, 1, False)
    assert ids.tolist() == list(prompt.ids)
