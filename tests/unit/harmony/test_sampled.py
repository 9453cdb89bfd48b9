"""Messages remember the ids they were read from: parse and render are each other's inverse."""

import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from ossia.harmony.events import MessageEnded
from ossia.harmony.messages import Conversation, Message
from ossia.harmony.parse import StreamParser, parse
from ossia.harmony.render import render_conversation, render_message
from ossia.tokenizer import Tokenizer, load_checkpoint_tokenizer, load_o200k_harmony

TINY = Path(__file__).parents[2] / "golden" / "tokenizer_tiny.json"
O200K = load_o200k_harmony()


@pytest.fixture(scope="module", params=["o200k_harmony", "checkpoint"])
def tok(request: pytest.FixtureRequest) -> Tokenizer:
    return O200K if request.param == "o200k_harmony" else load_checkpoint_tokenizer(TINY)


def to_ids(text: str, tok: Tokenizer, *, shortest: bool = False) -> list[int]:
    """Ids of a written-out sampling: names of control tokens are meant as control tokens here.

    With `shortest` every character is encoded alone: BPE as far from canonical as it gets.
    """
    special = tok.special_tokens
    ids: list[int] = []
    for part in re.split(r"(<\|\w+\|>)", text):
        pieces = part if shortest else [part]
        ids += [special[part]] if part in special else [i for piece in pieces for i in tok.encode(piece)]
    return ids


def as_read(messages: list[Message], tok: Tokenizer) -> list[int]:
    return [i for message in messages for i in render_message(message, tok, as_read=True)]


WELL_FORMED = [
    "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>Hi 🫠<|return|>",
    " to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>",
    "<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>",
    "<|channel|>commentary to=functions.x<|constrain|>json<|message|>{}<|call|>",
    "<|channel|>commentary <|constrain|>json to=functions.x<|message|>{}<|call|>",
    "  to= functions.x  <|channel|>  commentary  <|constrain|> json  <|message|> {} <|call|>",
    "\nto=functions.x\n<|channel|>commentary\n<|message|>{}<|call|>",
    "<|channel|>analysis to=python code<|message|>1+1<|call|>",
    "<|channel|>analysis<|message|>We nee",
    "<|channel|>final<|message|><|endoftext|>",
]


@pytest.mark.parametrize("text", WELL_FORMED)
@pytest.mark.parametrize("shortest", [False, True])
def test_parse_then_render_is_the_identity(tok: Tokenizer, text: str, shortest: bool) -> None:
    ids = to_ids(text, tok, shortest=shortest)
    messages, notes = parse(ids, tok, "assistant")
    assert not notes
    prompt = [tok.markers.start, *tok.encode("assistant")]
    assert as_read(messages, tok) == prompt + ids
    again, notes = parse(prompt + ids, tok)
    assert (again, notes) == (messages, [])
    assert as_read(again, tok) == prompt + ids


def test_random_cuts_of_the_text_into_tokens_survive() -> None:
    """Any way of cutting header words and bodies into tokens comes back, in both header orders."""
    rng = random.Random(7)
    for _ in range(300):
        to, after = rng.choice(
            [(" to=functions.get_weather", ""), ("", " to=functions.get_weather"), ("", "")]
        )
        words = ["assistant" + to, "commentary" + after, "json", '{"city": "서울"}']
        author, channel, kind, body = (_cut(word, rng) for word in words)
        marks = O200K.markers
        ids = [marks.start, *author, marks.channel, *channel, *O200K.encode(" "), marks.constrain, *kind]
        ids += [marks.message, *body, marks.call if to or after else marks.end]
        messages, notes = parse(ids, O200K)
        assert not notes
        assert as_read(messages, O200K) == ids
        assert messages[0].text == words[3]


def _cut(text: str, rng: random.Random) -> list[int]:
    data = text.encode()
    cuts = sorted({0, len(data), *(rng.randrange(len(data)) for _ in range(rng.randrange(6)))})
    tokens = {O200K.decode_bytes([i]): i for i in range(256)}
    ids: list[int] = []
    for a, b in pairwise(cuts):
        piece = data[a:b]
        try:
            ids += O200K.encode(piece.decode())
        except UnicodeDecodeError:
            ids += [tokens[bytes([byte])] for byte in piece]
    return ids


def test_history_ends_as_history_does(tok: Tokenizer) -> None:
    ids = to_ids("<|channel|>final<|message|>Hi<|return|>", tok)
    (message,), _ = parse(ids, tok, "assistant")
    prompt = [tok.markers.start, *tok.encode("assistant")]
    assert render_message(message, tok) == [*prompt, *ids[:-1], tok.markers.end]
    (cut,), _ = parse(ids[:-1], tok, "assistant")
    assert render_message(cut, tok) == [*prompt, *ids[:-1], tok.markers.end]
    assert render_message(cut, tok, as_read=True) == [*prompt, *ids[:-1]]


def test_canonical_form_on_request(tok: Tokenizer) -> None:
    ids = to_ids("  to= functions.x<|channel|>  commentary <|constrain|>json<|message|>{}<|call|>", tok)
    messages, _ = parse(ids, tok, "assistant")
    canonical = (
        "<|start|>assistant to=functions.x<|channel|>commentary <|constrain|>json<|message|>{}<|call|>"
    )
    assert render_message(messages[0], tok, canonical=True) == to_ids(canonical, tok)
    assert render_message(messages[0], tok) != to_ids(canonical, tok)
    conversation = Conversation(tuple(messages))
    assert render_conversation(conversation, tok, canonical=True) == to_ids(canonical, tok)
    assert render_conversation(conversation, tok) == render_message(messages[0], tok)


def test_a_role_that_was_not_prompted_after_all_is_kept_once(tok: Tokenizer) -> None:
    ids = to_ids("assistant<|channel|>final<|message|>Hi<|return|>", tok)
    messages, notes = parse(ids, tok, "assistant")
    assert not notes
    assert as_read(messages, tok) == [tok.markers.start, *ids]


def test_a_changed_message_renders_canonically(tok: Tokenizer) -> None:
    messages, _ = parse(to_ids("<|channel|>  final<|message|>Hi<|return|>", tok), tok, "assistant")
    changed = replace(messages[0], content="Ho")
    assert render_message(changed, tok) == to_ids(
        "<|start|>assistant<|channel|>final<|message|>Ho<|end|>", tok
    )


def test_ids_of_another_vocabulary_do_not_count() -> None:
    other = load_checkpoint_tokenizer(TINY)
    messages, _ = parse(to_ids("<|channel|>final<|message|>Hi<|return|>", other), other, "assistant")
    expected = to_ids("<|start|>assistant<|channel|>final<|message|>Hi<|end|>", O200K)
    assert render_message(messages[0], O200K) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<|channel|>final<|message|>H<|message|>i<|return|>",
        "<|channel|>finalHi<|return|>",
        "<|channel|>analysis<|channel|>final<|message|>Hi<|return|>",
        " to=functions.x<|channel|>commentary<|message|>{}<|end|>",
        "<|message|>Hi<|return|>",
    ],
)
def test_a_mended_message_renders_canonically(tok: Tokenizer, text: str) -> None:
    messages, notes = parse(to_ids(text, tok), tok, "assistant")
    assert notes
    assert [m.sampled for m in messages] == [None]
    again, notes = parse(render_message(messages[0], tok), tok)
    assert again == messages


def test_only_the_mended_message_forgets_its_ids(tok: Tokenizer) -> None:
    """The message that began too early is whole; the one that it cut off is not."""
    text = (
        "<|channel|>analysis<|message|>a<|start|>assistant<|channel|>analysis<|message|>b<|end|>"
        "<|start|>assistant<|channel|>final<|message|>c<|return|><|return|>"
    )
    messages, _ = parse(to_ids(text, tok), tok, "assistant")
    assert [m.sampled is not None for m in messages] == [False, True, True]


def test_the_event_carries_the_same_message(tok: Tokenizer) -> None:
    parser = StreamParser(tok)
    ids = to_ids("<|channel|>final<|message|>Hi<|return|>", tok)
    ended = [e for i in ids for e in parser.feed(i) if isinstance(e, MessageEnded)]
    assert ended[0].message is parser.messages[0]
    assert ended[0].message.sampled is not None
    assert ended[0].message.sampled.end_ids == (tok.markers.return_,)
