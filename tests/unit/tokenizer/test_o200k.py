"""o200k_harmony: specials, text that stays text, and texts that break tiktoken's regex engine."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ossia.errors import HashMismatchError
from ossia.tokenizer import O200kHarmony, load_o200k_harmony, o200k

TOK = load_o200k_harmony()


def test_markers_are_the_ids_of_their_names() -> None:
    marks, special = TOK.markers, TOK.special_tokens
    for field in ("start", "end", "message", "channel", "constrain", "call", "endoftext"):
        assert getattr(marks, field) == special[f"<|{field}|>"]
    assert marks.return_ == special["<|return|>"] == 200_002
    assert marks.stop_ids == {200_002, 200_012, 199_999}


def test_every_id_above_the_ranks_is_special() -> None:
    assert set(TOK.special_tokens.values()) == set(range(199_998, 201_088))
    assert TOK.vocab_size == 201_088
    assert TOK.special_tokens["<|reserved_201087|>"] == 201_087
    assert TOK.special_tokens["<|endofprompt|>"] == TOK.special_tokens["<|reserved_200018|>"] == 200_018


def test_special_ids_decode_to_their_names() -> None:
    for name, i in TOK.special_tokens.items():
        assert TOK.decode([i]) == name or (i == 200_018 and TOK.decode([i]) == "<|endofprompt|>")


def test_special_tokens_cannot_be_changed_from_outside() -> None:
    TOK.special_tokens.clear()
    assert TOK.special_tokens


@pytest.mark.parametrize("template", ["{}", " {}", "a{}b", "{0}{0}", "\n{}\n"])
def test_text_never_becomes_a_control_token(template: str) -> None:
    control = set(TOK.special_tokens.values())
    for name in TOK.special_tokens:
        text = template.format(name)
        ids = TOK.encode(text)
        assert control.isdisjoint(ids)
        assert TOK.decode(ids) == text


@settings(derandomize=True, database=None, deadline=None, max_examples=300)
@given(st.text(st.characters(codec="utf-8")))
def test_text_round_trips(text: str) -> None:
    assert TOK.decode(TOK.encode(text)) == text


def test_lone_surrogates_become_the_replacement_character() -> None:
    assert TOK.encode("a\ud800b") == TOK.encode("a\ufffdb")
    assert TOK.encode(b"\xff".decode(errors="surrogateescape")) == TOK.encode("\ufffd")
    assert TOK.encode("\ud83d\ude00") == TOK.encode("😀")


def test_ids_outside_the_vocabulary_decode_to_the_replacement_character() -> None:
    assert TOK.decode([-1, 201_088, 10**30]) == "\ufffd" * 3


@settings(derandomize=True, database=None, deadline=None, max_examples=500)
@given(st.lists(st.integers(-2, TOK.vocab_size + 2) | st.sampled_from([-(10**30), 2**32, 10**30])))
def test_ids_decode_at_once_as_they_stream(ids: list[int]) -> None:
    stream = TOK.stream()
    streamed = "".join([stream.feed(i) for i in ids]) + stream.flush()
    assert TOK.decode(ids) == TOK.decode(iter(ids)) == streamed


_PIECES = st.sampled_from([" ", "\t", "\n", "\r", "a", "B", "!", "'s", "1", "/", *"\u3000\xa0\x1c\x85\u2028"])


@settings(derandomize=True, database=None, deadline=None, max_examples=1000)
@given(st.lists(_PIECES, max_size=24).map("".join), st.integers(1, 4))
def test_runs_of_spaces_taken_apart_encode_as_they_would_whole(text: str, limit: int) -> None:
    # `_encode_runs` at its real limit cannot be compared: there the plain encoding fails.
    assert TOK._encode_runs(text, limit) == TOK.encode(text)


@pytest.mark.parametrize(("before", "after"), [("", ""), ("x", "x"), ("\n", " x"), ("x", "\n y")])
def test_a_million_spaces_encode(before: str, after: str) -> None:
    text = before + " " * 1_000_001 + after
    assert TOK.decode(TOK.encode(text)) == text


@pytest.mark.parametrize("unit", ["a", "!", "\n", "漢", "1", "ab", "\u0301", "😀"])
def test_long_repeats_encode(unit: str) -> None:
    text = unit * (300_000 // len(unit))
    assert TOK.decode(TOK.encode(text)) == text


def test_loaded_once() -> None:
    assert load_o200k_harmony() is TOK
    assert isinstance(TOK, O200kHarmony)


def test_damaged_vocabulary_is_a_typed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged() -> list[bytes]:
        raise ValueError("cut short")

    monkeypatch.setattr(o200k, "read_pieces", damaged)
    load_o200k_harmony.cache_clear()
    try:
        with pytest.raises(HashMismatchError, match="cut short"):
            load_o200k_harmony()
    finally:
        load_o200k_harmony.cache_clear()
