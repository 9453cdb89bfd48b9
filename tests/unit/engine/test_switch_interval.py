import sys

import pytest

from ossia.engine.switch_interval import SWITCH_INTERVAL_S, SwitchInterval
from ossia.model.sampling import SamplingParams


@pytest.fixture(autouse=True)
def interval():
    """A switch interval nobody else uses; the old one afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.004)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)


def is_short():
    return sys.getswitchinterval() == pytest.approx(SWITCH_INTERVAL_S)


def test_overlapping_users_leave_what_was_there(interval):
    first, second = SwitchInterval(), SwitchInterval()
    first.shorten()
    second.shorten()
    assert is_short()
    first.restore()
    second.shorten()
    assert is_short()
    second.restore()
    assert sys.getswitchinterval() == interval


def test_what_somebody_else_sets_meanwhile_stays():
    mine = SwitchInterval()
    mine.shorten()
    sys.setswitchinterval(0.002)
    mine.restore()
    assert sys.getswitchinterval() == pytest.approx(0.002)


def test_is_short_during_a_step_and_restored_even_if_it_fails(toy_engine, interval):
    engine, toy = toy_engine()
    engine.submit([1], SamplingParams(max_tokens=2))
    during = []
    toy.before_forward = lambda: during.append(is_short())
    engine.step()
    assert during == [True]
    assert sys.getswitchinterval() == interval

    def broken():
        raise ZeroDivisionError

    toy.before_forward = broken
    with pytest.raises(ZeroDivisionError):
        engine.step()
    assert sys.getswitchinterval() == interval
