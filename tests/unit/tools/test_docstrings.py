"""Docstrings in the three common styles."""

import pytest

from ossia.tools.docstrings import Docstring, parse_docstring

GOOGLE = """Find flights.

    Cheapest first.

    Args:
        origin (str): Where from,
            as a code.
        to: Where to: a code too.

    Returns:
        list: Flights.
    """
NUMPY = """Find flights.

    Cheapest first.

    Parameters
    ----------
    origin : str
        Where from,
        as a code.
    to
        Where to: a code too.

    Returns
    -------
    list
        Flights.
    """
SPHINX = """Find flights.

    Cheapest first.

    :param origin: Where from,
        as a code.
    :type origin: str
    :param str to: Where to: a code too.
    :returns: Flights.
    """


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX])
def test_three_styles_say_the_same(text: str) -> None:
    doc = parse_docstring(text)
    assert doc.description == "Find flights.\nCheapest first."
    assert doc.parameters == {"origin": "Where from, as a code.", "to": "Where to: a code too."}


@pytest.mark.parametrize("text", [None, "", "   \n  "])
def test_nothing_is_nothing(text: str | None) -> None:
    assert parse_docstring(text) == Docstring()


def test_lines_of_a_paragraph_are_joined() -> None:
    assert parse_docstring("One\n    two.\n\n    Three.").description == "One two.\nThree."


def test_a_colon_makes_no_section() -> None:
    text = "Mind this:\n\nkey: value"
    assert parse_docstring(text).description == "Mind this:\nkey: value"


def test_numpy_entries_may_share_a_text() -> None:
    text = "Add.\n\nParameters\n----------\nx, y : int\n    A summand.\n"
    assert parse_docstring(text).parameters == {"x": "A summand.", "y": "A summand."}


def test_text_after_an_indented_section_is_description() -> None:
    text = "Add.\n\nArgs:\n    x: First.\n\nNever fails."
    assert parse_docstring(text) == Docstring("Add.\nNever fails.", {"x": "First."})


def test_an_entry_of_several_paragraphs_keeps_them() -> None:
    text = "Add.\n\nArgs:\n    x: First.\n\n        More.\n    y: Second."
    assert parse_docstring(text).parameters == {"x": "First.\nMore.", "y": "Second."}
