"""Streamed text breaks at words, whatever pieces it comes in."""

import pytest
from rich.cells import cell_len

from ossia.cli.chat.wrap import Wrapper

PROSE = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while. " * 3


def wrapped(text: str, width: int, piece: int) -> str:
    wrapper = Wrapper(width)
    pieces = (text[i : i + piece] for i in range(0, len(text), piece))
    return "".join(wrapper.feed(part).plain for part in pieces) + wrapper.flush().plain


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("width", [20, 33, 80])
def test_no_line_is_too_wide_and_no_word_is_cut(width: int, piece: int) -> None:
    lines = wrapped(PROSE, width, piece).split("\n")
    assert all(len(line) <= width for line in lines)
    assert " ".join(lines).split() == PROSE.split()


def test_the_pieces_do_not_matter() -> None:
    text = (
        "코드 설명입니다. 漢字仮名交じり文\n\n```\n"
        + "x = 1 " * 20
        + "\n```\n"
        + "긴 문장을 나누어 봅니다 " * 6
    )
    assert len({wrapped(text, 30, piece) for piece in (1, 2, 5, 11, 999)}) == 1


def test_wide_characters_count_double() -> None:
    lines = wrapped("한국어 문장은 낱말 사이에서 줄을 바꿉니다. " * 3, 24, 1).split("\n")
    assert all(cell_len(line) <= 24 for line in lines)
    assert len(lines) > 3


def test_a_fence_is_left_as_it_is() -> None:
    code = "```\n" + "a = b + c  " * 10 + "\n```\n"
    assert wrapped(code, 20, 3) == code


def test_an_address_longer_than_a_line_stays_whole() -> None:
    address = "https://example.org/" + "x" * 90
    assert address in wrapped(f"see {address} there", 40, 4)


def test_the_first_chinese_character_is_not_held_back() -> None:
    assert Wrapper(40).feed("法").plain == "法"


def test_styles_go_with_their_characters() -> None:
    wrapper = Wrapper(20)
    out = wrapper.feed("plain ") + wrapper.feed("bold", "bold") + wrapper.feed(" and plain") + wrapper.flush()
    bold = [out.plain[span.start : span.end] for span in out.spans if span.style == "bold"]
    assert (out.plain, "".join(bold)) == ("plain bold and plain", "bold")
