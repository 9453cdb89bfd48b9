"""What is said of o200k's vocabulary, recounted: docs/tokenizer.md marks each claim by these tests.

`THEN` is cl100k_base (and r50k_base, GPT-2's), counted once by `article_claims.py` and kept; `now` is
counted here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ossia.tokenizer import load_o200k_harmony
from ossia.tokenizer.vocabulary import read_pieces

from .article_claims import CJK_BLOCK, SYLLABLES, measure, measure_tokens

THEN: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "article_claims.json").read_text())
CL100K, GPT2 = THEN["cl100k_base"], THEN["r50k_base"]


@pytest.fixture(scope="module")
def now() -> dict[str, Any]:
    groups = {"groups in one token": measure_tokens(read_pieces())}
    return measure(load_o200k_harmony().encode) | groups


def pieces(text: str) -> list[str]:
    tok = load_o200k_harmony()
    return [tok.decode([i]) for i in tok.encode(text)]


def at_most(tokens: int, lengths: Mapping[str, int]) -> int:
    return sum(count for length, count in lengths.items() if int(length) <= tokens)


def test_emoji_take_two_tokens_instead_of_three__true_of_two_thirds(now: dict[str, Any]) -> None:
    assert CL100K["emoji"] == {"2": 180, "3": 1032}
    assert now["emoji"] == {"1": 24, "2": 836, "3": 352}
    assert sum(now["emoji"].values()) == sum(CL100K["emoji"].values()) == 1212
    assert 0.70 < at_most(2, now["emoji"]) / 1212 < 0.71  # it was 15%
    assert pieces("👍") == ["👍"]


def test_after_a_space_emoji_gain_less(now: dict[str, Any]) -> None:
    """The space joins the first bytes, so that a frequent emoji is no longer one token."""
    assert CL100K["emoji after a space"] == {"1": 3, "2": 299, "3": 910}
    assert now["emoji after a space"] == {"1": 9, "2": 680, "3": 523}
    assert len(pieces(" 🔥")) == 2


def test_chinese_characters_take_two_tokens_instead_of_three__true(now: dict[str, Any]) -> None:
    size = len(CJK_BLOCK)
    assert CL100K["cjk block"] == {"1": 549, "2": 12396, "3": 8047}
    assert now["cjk block"] == {"1": 2515, "2": 17603, "3": 874}
    assert 0.61 < at_most(2, CL100K["cjk block"]) / size < 0.62
    assert 0.95 < at_most(2, now["cjk block"]) / size < 0.96


def test_chinese_as_it_is_written_takes_one_token_a_character(now: dict[str, Any]) -> None:
    """The claim is about rare characters: of those the Declaration uses, nine in ten are one token."""
    assert CL100K["chinese as written"] == {"1": 282, "2": 319, "3": 56}
    assert now["chinese as written"] == {"1": 576, "2": 80, "3": 1}
    assert CL100K["groups in one token"]["chinese"] == 237
    assert now["groups in one token"]["chinese"] == 4013
    assert now["declaration"]["cmn_hans"] / CL100K["declaration"]["cmn_hans"] < 0.69


def test_arabic_is_grouped__true(now: dict[str, Any]) -> None:
    assert (CL100K["declaration"]["arb"], now["declaration"]["arb"]) == (5251, 2378)
    assert CL100K["groups in one token"]["arabic"] == 32
    assert now["groups in one token"]["arabic"] == 5975
    assert pieces("مرحبا بالعالم") == ["مرح", "با", " بالع", "الم"]


def test_indentation_is_one_token__true_but_not_new(now: dict[str, Any]) -> None:
    assert now["spaces, every run in one token up to"] == 79
    assert CL100K["spaces, every run in one token up to"] == 81
    assert now["spaces, longest run in one token"] == CL100K["spaces, longest run in one token"] == 128
    assert now["tabs in one token"] == CL100K["tabs in one token"] == 20
    assert now["indented lines"] == CL100K["indented lines"] == dict.fromkeys(("4", "8", "16", "32", "64"), 4)
    assert GPT2["indented lines"]["64"] == 66
    assert pieces("\n        return x") == ["\n", "       ", " return", " x"]


def test_digits_go_in_threes__true_but_not_new(now: dict[str, Any]) -> None:
    """From the left: what is grouped is not the thousands."""
    assert now["numbers below 1000 in one token"] == now["with leading zeros"] == 1000
    assert now["numbers"] == CL100K["numbers"]
    assert GPT2["numbers below 1000 in one token"] == 819
    assert pieces("1234567") == ["123", "456", "7"]
    assert pieces("1,234,567") == ["1", ",", "234", ",", "567"]


def test_korean_takes_fewer_tokens__true(now: dict[str, Any]) -> None:
    assert CL100K["hangul syllables"] == {"1": 129, "2": 4263, "3": 6780}
    assert now["hangul syllables"] == {"1": 677, "2": 7135, "3": 3360}
    assert sum(now["hangul syllables"].values()) == len(SYLLABLES)
    assert (CL100K["groups in one token"]["hangul"], now["groups in one token"]["hangul"]) == (62, 1218)
    assert (CL100K["declaration"]["kor"], now["declaration"]["kor"]) == (4658, 2743)


def test_other_scripts_gain_more_than_latin(now: dict[str, Any]) -> None:
    gain = {code: CL100K["declaration"][code] / now["declaration"][code] for code in now["declaration"]}
    assert gain["eng"] == pytest.approx(1, abs=0.001)
    assert gain["hye"] > 6
    assert gain["hin"] > 3
    assert gain["tam"] > 3
    assert all(gain[code] > 1.3 for code in ("arb", "kor", "cmn_hans", "cmn_hant", "jpn", "rus"))
