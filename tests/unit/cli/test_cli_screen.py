"""Nothing that a model writes may steer the terminal."""

import io
import unicodedata

import pytest

from ossia.cli.screen import for_stream, visible


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_control_character_but_newline_and_tab_is_neutralised() -> None:
    every = "".join(map(chr, range(0x110000)))
    kept = visible(every)
    assert {c for c in kept if unicodedata.category(c) in ("Cc", "Cs")} == {"\n", "\t"}
    assert not set(kept) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@pytest.mark.parametrize(
    ("attack", "harmless"),
    [
        ("\x1b[2J", "␛[2J"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x9b31m", "\ufffd31m"),
        ("safe\rEVIL", "safeEVIL"),
        ("a\x08b", "a␈b"),
        ("one\r\ntwo\tthree", "one\ntwo\tthree"),
        ("한국어 🙂 é", "한국어 🙂 é"),
    ],
)
def test_sequences_are_shown_not_obeyed(attack: str, harmless: str) -> None:
    assert visible(attack) == harmless


def test_a_sequence_split_over_two_pieces_is_neutralised() -> None:
    assert "\x1b" not in visible("\x1b") + visible("[2J")


def test_a_file_gets_the_exact_text() -> None:
    assert for_stream("\x1b[1m", io.StringIO()) == "\x1b[1m"
    assert for_stream("\x1b[1m", Terminal()) == "␛[1m"
