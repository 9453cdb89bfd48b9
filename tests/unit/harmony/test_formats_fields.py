"""Numbers in requests: what is one, and what is refused."""

import pytest

from ossia.errors import InputError
from ossia.harmony.formats.fields import number_of, whole_of


def test_numbers_are_read_and_null_counts_as_absent():
    fields = {"a": 0.5, "b": 3, "c": 3.0, "d": None}
    assert (number_of(fields, "a", "x"), number_of(fields, "b", "x")) == (0.5, 3)
    assert (whole_of(fields, "b", "x"), whole_of(fields, "c", "x")) == (3, 3)
    assert number_of(fields, "d", "x") is None
    assert whole_of(fields, "e", "x") is None


@pytest.mark.parametrize("value", ["0.5", True, [], {}])
def test_what_is_no_number_is_refused_by_its_name(value: object):
    with pytest.raises(InputError, match="the request: seed is"):
        number_of({"seed": value}, "seed", "the request")


@pytest.mark.parametrize("value", [0.5, float("inf"), float("nan")])
def test_a_whole_number_has_no_fraction(value: float):
    with pytest.raises(InputError, match="seed is"):
        whole_of({"seed": value}, "seed", "the request")
