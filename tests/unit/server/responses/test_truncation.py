import pytest
from puppet import Puppet, final, model_of

from ossia.harmony.messages import Conversation, DeveloperContent, Message, SystemContent, user
from ossia.harmony.render import render_conversation
from ossia.server.responses.request import read_request
from ossia.server.responses.truncation import fit

OPENING = (Message("system", SystemContent()), Message("developer", DeveloperContent("Be kind.")))
TURNS = [
    (user(f"Question {n}? " + "word " * 60), Message("assistant", "Yes.", channel="final")) for n in range(8)
]


def fitted(conversation, context_length=400, **fields):
    model = model_of(Puppet(lambda _: final("Hello."), context_length=context_length))
    request = read_request({"model": "m", **fields}, unseal=lambda blob: ())
    kept, notes = fit(conversation, model, request)
    return (
        kept.messages,
        [note.code for note in notes],
        len(render_conversation(kept, model.tok, completion=True)),
    )


def said(turns):
    return Conversation((*OPENING, *(message for turn in turns for message in turn)))


def test_nothing_is_dropped_unless_asked():
    assert fitted(said(TURNS))[:2] == (said(TURNS).messages, [])
    assert fitted(said(TURNS), truncation="disabled")[:2] == (said(TURNS).messages, [])


def test_what_fits_stays():
    assert fitted(said(TURNS), 10_000, truncation="auto")[:2] == (said(TURNS).messages, [])


@pytest.mark.parametrize("room", [50, 100, 150])
def test_the_oldest_turns_go(room):
    messages, codes, length = fitted(said(TURNS), truncation="auto", max_output_tokens=room)
    left = (len(messages) - len(OPENING)) // 2
    assert messages == said(TURNS[-left:]).messages
    assert codes == ["truncated"]
    assert length <= 400 - room < length + 70  # a turn has about 70 tokens
    assert 0 < left < 8


def test_the_last_turn_stays_even_so():
    assert fitted(said(TURNS), 60, truncation="auto")[0] == said(TURNS[-1:]).messages
