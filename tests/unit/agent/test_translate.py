"""Stop strings, found the same however the text is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ossia.agent.translate import StopStrings
from ossia.errors import InputError


def through(stops: list[str], pieces: list[str]) -> tuple[str, str | None]:
    strings = StopStrings(stops)
    shown = "".join(strings.feed(piece) for piece in pieces)
    return shown + strings.flush(), strings.hit


letters = st.text("ab\n", max_size=30)


@given(st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=4), letters, st.data())
def test_the_cut_does_not_matter(stops: list[str], text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    pieces = [text[a:b] for a, b in pairwise(cuts)]
    assert through(stops, pieces) == through(stops, [text]) == through(stops, list(text))


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=4), st.text("ab", max_size=30))
def test_nothing_shown_contains_a_stop_string_and_nothing_is_lost(stops: list[str], text: str) -> None:
    shown, hit = through(stops, list(text))
    assert not any(stop in shown for stop in stops)
    assert text.startswith(shown + (hit or ""))
    assert (hit is None) == (shown == text and not any(stop in text for stop in stops))


def test_only_a_possible_beginning_is_held_back() -> None:
    strings = StopStrings(["END"])
    assert [strings.feed(piece) for piece in ("abE", "N", "x", "EE")] == ["ab", "", "ENx", "E"]
    assert strings.flush() == "E"


def test_of_stops_that_end_together_the_longest_counts() -> None:
    assert through(["b", "ab"], ["xab"]) == ("x", "ab")


def test_after_a_hit_nothing_more_comes() -> None:
    strings = StopStrings(["."])
    assert [strings.feed("a."), strings.feed("b"), strings.flush()] == ["a", "", ""]


@pytest.mark.parametrize("stops", [[""], ["a", ""], "abc"])
def test_impossible_ones_are_refused(stops: list[str]) -> None:
    with pytest.raises(InputError):
        StopStrings(stops)
