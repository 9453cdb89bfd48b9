"""Decoding byte pieces: streamed text joins to exactly what decoding at once gives."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ossia.tokenizer.pieces import PieceTable, well_formed

# Pieces that cut characters everywhere, invalid bytes, overlong forms, surrogates and bytes past U+10FFFF.
PIECES = [bytes([b]) for b in range(256)] + [
    b"",
    b"a",
    "é".encode()[:1],
    "漢".encode()[1:],
    b"\xed\xa0",
    b"\xf4\x90",
]
TABLE = PieceTable(PIECES)
IDS = st.lists(st.integers(-2, len(PIECES) + 1))


@settings(derandomize=True, database=None, deadline=None, max_examples=2000)
@given(IDS)
@example([0xF0, 0x9F, 0x98])
@example([0xF0, 0x9F, 0x41, 0x80, 0xE2, 0x82])
def test_stream_joins_to_the_whole(ids: list[int]) -> None:
    stream = TABLE.stream()
    streamed = "".join([stream.feed(i) for i in ids]) + stream.flush()
    assert streamed == TABLE.decode(ids)
    assert streamed == TABLE.decode_bytes(ids).decode(errors="replace")


@settings(derandomize=True, database=None, deadline=None, max_examples=500)
@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_stream_never_gives_half_a_character(text: str) -> None:
    stream, given_so_far, data = TABLE.stream(), "", text.encode()
    for i, byte in enumerate(data):
        given_so_far += stream.feed(byte)
        assert given_so_far == data[: i + 1].decode(errors="ignore")
    assert stream.flush() == ""


def test_flush_gives_the_replacement_for_an_open_character() -> None:
    stream = TABLE.stream()
    assert stream.feed(0xE2) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain 漢", "plain 漢"),
        ("\ud83d\ude00", "😀"),
        ("a\udcffb", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_well_formed_has_no_surrogates(text: str, expected: str) -> None:
    assert well_formed(text) == expected
