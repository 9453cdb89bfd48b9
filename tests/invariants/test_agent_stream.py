"""What always holds of an answer's events, over random conversations, vocabularies and spellings.

Deltas add up to messages; messages to the conversation; and inside a turn the prompt of each step is the
rendering of the conversation, id for id, the chain of thought included.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.agent.card import ModelCard, opening
from ossia.agent.events import (
    CallDelta,
    CallReady,
    Event,
    Finished,
    MessageDone,
    Note,
    PreambleDelta,
    ReasoningDelta,
    ResultReady,
    TextDelta,
)
from ossia.agent.loop import run
from ossia.backends.scripted import ScriptedBackend
from ossia.harmony.messages import Conversation, Message, user
from ossia.harmony.render import render_conversation, render_message
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony
from ossia.tools import tool

TINY = Path(__file__).parents[1] / "golden" / "tokenizer_tiny.json"
TOKENIZERS: dict[str, Tokenizer] = {
    "o200k": load_o200k_harmony(),
    "tiny": load_checkpoint_tokenizer(TINY),
}


async def echo(said: str) -> str:
    """Say it again."""
    return said


TOOLS = [tool(echo)]
CARD = ModelCard("test")

# Words as they come, control tokens as text, other scripts, characters of several tokens.
texts = st.text(st.sampled_from("ab \n{}\"'é한👩‍🚀"), max_size=12) | st.sampled_from(
    ["", "<|end|>", "<|start|>assistant", "한국어 문장입니다.", "👩‍🚀🏳️‍🌈", '{"said": "x"}', "x" * 50]
)
thoughts = st.builds(lambda t: Message("assistant", t, channel="analysis"), texts)
preambles = st.builds(lambda t: Message("assistant", t, channel="commentary"), texts)
calls = st.builds(
    lambda t, name, kind, place, channel: Message(
        "assistant", t, None, channel, f"functions.{name}", kind, place
    ),
    texts | st.just('{"said": "hello"}'),
    st.sampled_from(["echo", "nothing"]),
    st.sampled_from([None, "<|constrain|>json", "json"]),
    st.sampled_from(["author", "channel"]),
    st.just("commentary"),
)
finals = st.builds(lambda t: Message("assistant", t, channel="final"), texts)
steps = st.lists(st.tuples(st.lists(thoughts | preambles, max_size=3), calls), max_size=3)
endings = st.tuples(st.lists(thoughts | preambles, max_size=3), finals)


def sampled(messages: list[Message], tok: Tokenizer, last: int) -> list[int]:
    """The ids a model samples for these messages, after the ``<|start|>assistant`` of the prompt."""
    ids = [i for message in messages for i in render_message(message, tok)]
    assert ids[-1] in (tok.markers.end, tok.markers.call)
    return [*ids[1 + len(tok.encode("assistant")) : -1], last]


def answer(script: list[list[int]], tok: Tokenizer, **options: Any) -> tuple[list[Event], ScriptedBackend]:
    backend = ScriptedBackend(script, 100_000)
    conversation = Conversation((*opening(CARD, tools=TOOLS), user("Hi")))

    async def collect() -> list[Event]:
        return [e async for e in run(backend, tok, conversation, tools=TOOLS, **options)]

    return asyncio.run(collect()), backend


def script_of(turn: Any, ending: Any, tok: Tokenizer) -> tuple[list[list[int]], list[Message]]:
    marks = tok.markers
    script = [sampled([*before, call], tok, marks.call) for before, call in turn]
    script.append(sampled([*ending[0], ending[1]], tok, marks.return_))
    return script, [m for before, call in turn for m in (*before, call)] + [*ending[0], ending[1]]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(turn=steps, ending=endings)
def test_deltas_messages_and_conversation_agree(name: str, turn: Any, ending: Any) -> None:
    tok = TOKENIZERS[name]
    script, meant = script_of(turn, ending, tok)
    events, backend = answer(script, tok)
    finished = events[-1]
    assert isinstance(finished, Finished)
    empty = ["empty-final"] if not meant[-1].text.strip() else []
    assert [e.code for e in events if isinstance(e, Note)] == empty
    done = [e.message for e in events if isinstance(e, MessageDone)]
    assert [m for m in done if m.role == "assistant"] == meant
    assert finished.conversation.messages[-len(done) :] == tuple(done)

    def added_up(kind: Any) -> str:
        return "".join(e.text for e in events if isinstance(e, kind))

    def channel(name: str) -> str:
        return "".join(m.text for m in meant if m.channel == name and not m.is_call)

    assert added_up(ReasoningDelta) == channel("analysis")
    assert added_up(PreambleDelta) == channel("commentary")
    assert added_up(TextDelta) == channel("final")
    assert added_up(CallDelta) == "".join(m.text for m in meant if m.is_call)
    assert [e.arguments for e in events if isinstance(e, CallReady)] == [m.text for m in meant if m.is_call]
    assert [e.text for e in events if isinstance(e, ResultReady)] == [
        m.text for m in done if m.role == "tool"
    ]
    assert finished.usage.output_tokens == sum(map(len, script))
    assert finished.usage.prompt_tokens == sum(map(len, backend.prompts))


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(turn=steps, ending=endings)
def test_inside_a_turn_each_prompt_is_the_rendered_conversation(name: str, turn: Any, ending: Any) -> None:
    tok = TOKENIZERS[name]
    script, _ = script_of(turn, ending, tok)
    events, backend = answer(script, tok)
    finished = events[-1]
    assert isinstance(finished, Finished)
    messages = finished.conversation.messages
    results = [i + 1 for i, m in enumerate(messages) if m.role == "tool"]
    rendered = [render_conversation(Conversation(messages[:n]), tok, completion=True) for n in results]
    assert backend.prompts[1:] == rendered
    for before, after, ids in zip(backend.prompts, backend.prompts[1:], script, strict=False):
        assert after[: len(before) + len(ids)] == before + ids


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, 2000), max_size=40), data=st.data())
def test_whatever_is_sampled_ends_in_one_finished(name: str, ids: list[int], data: st.DataObject) -> None:
    """Random ids, spiced with markers: no exception, events that agree, a conversation that renders."""
    tok = TOKENIZERS[name]
    marks = tok.markers
    some = [marks.start, marks.end, marks.message, marks.channel, marks.constrain, marks.call, marks.return_]
    words = [
        tok.encode(w) for w in ("assistant", "final", "analysis", "commentary", " to=functions.echo", "user")
    ]
    spice = st.lists(st.sampled_from([*([m] for m in some), *words]), max_size=25)
    noise = [i % tok.vocab_size for i in ids]
    mixed = (
        [i for part in data.draw(spice) for i in part] + noise[:5] + [i for p in data.draw(spice) for i in p]
    )
    events, _ = answer([mixed, mixed, noise, []], tok)
    assert isinstance(events[-1], Finished)
    assert sum(isinstance(e, Finished) for e in events) == 1
    done = tuple(e.message for e in events if isinstance(e, MessageDone))
    conversation = events[-1].conversation
    assert conversation.messages[len(conversation.messages) - len(done) :] == done
    assert {m.role for m in done} <= {"assistant", "tool"}
    shown = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert shown == "".join(m.text for m in done if m.channel == "final" and not m.is_call)
    assert render_conversation(conversation, tok, completion=True)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(text=st.text("ab.", max_size=20), stop=st.lists(st.text("ab.", min_size=1, max_size=3), max_size=3))
def test_the_vocabulary_does_not_matter_to_stop_strings(name: str, text: str, stop: list[str]) -> None:
    tok = TOKENIZERS[name]
    final = Message("assistant", text, channel="final")
    events, _ = answer([sampled([final], tok, tok.markers.return_)], tok, stop=stop)
    ends = [text.find(s) + len(s) for s in stop if s in text]
    shown = "".join(e.text for e in events if isinstance(e, TextDelta))
    finished = events[-1]
    assert isinstance(finished, Finished)
    if not ends:
        assert (shown, finished.reason) == (text, "stop" if text else "empty")
    else:
        assert finished.stop is not None
        assert (shown + finished.stop, finished.reason) == (text[: min(ends)], "stop_string")
    assert finished.conversation.messages[-1].text == shown
