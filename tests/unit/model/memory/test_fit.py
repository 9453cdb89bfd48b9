"""Fitting, dividing a limit and offering one, against plans of the published shapes."""

from collections import namedtuple

import psutil
import pytest

from ossia.bench.shapes import shape_named
from ossia.errors import MemoryLimitError
from ossia.kernels.experts import slot_bytes
from ossia.model.memory import fit as fitting
from ossia.model.memory.fit import as_option, divide, fit, largest_offer, needed, require_memory, smallest
from ossia.model.plan import memory_plan
from ossia.settings import parse_size

GIB = 1 << 30
CONFIG = shape_named("20b").config
PLAN = memory_plan(CONFIG, "q8", 8192)


@pytest.fixture(autouse=True)
def process(monkeypatch):
    """A process of 100 MB."""
    memory = namedtuple("Memory", "rss")(100_000_000)
    monkeypatch.setattr(psutil, "Process", lambda: namedtuple("Process", "memory_info")(lambda: memory))


def available(monkeypatch, size):
    monkeypatch.setattr(fitting, "available_memory", lambda: size)


def test_part_sizes_are_those_of_the_checkpoint():
    assert fitting.part_bytes(CONFIG) == (5760 * 90 * 16, 5760 * 90, 2880 * 90 * 16, 2880 * 90)
    assert sum(fitting.part_bytes(CONFIG)) * 32 * 24 == PLAN.experts


def test_fit_has_three_answers():
    least = smallest(PLAN, CONFIG)
    assert needed(PLAN) == PLAN.total - PLAN.embedding
    assert fit(PLAN, CONFIG, needed(PLAN)) == "fits"
    assert fit(PLAN, CONFIG, needed(PLAN) - 1) == "tight"
    assert fit(PLAN, CONFIG, least) == "tight"
    assert fit(PLAN, CONFIG, least - 1) == "too large"


def test_what_cannot_be_streamed_fits_or_is_too_large():
    assert fit(PLAN, CONFIG, PLAN.total, mapped=False) == "fits"
    assert fit(PLAN, CONFIG, PLAN.total - 1, mapped=False) == "too large"


@pytest.mark.parametrize("limit", [3 * GIB, 8 * GIB, 10 * GIB])
def test_a_division_stays_within_the_limit_and_wastes_less_than_one_expert(limit):
    division = divide("m", limit, PLAN, CONFIG)
    used = division.rest + division.slots * division.slot_bytes
    assert not division.whole
    assert limit - division.slot_bytes < used <= limit


def test_a_wide_limit_holds_everything():
    division = divide("m", 16 * GIB, PLAN, CONFIG)
    assert (division.whole, division.slots) == (True, 24 * 32)


def test_a_limit_that_is_too_small_is_refused_naming_the_smallest_that_works():
    least = smallest(PLAN, CONFIG)
    with pytest.raises(MemoryLimitError, match=r"gpt does not run in 1.00 GiB of memory") as caught:
        divide("gpt", GIB, PLAN, CONFIG)
    assert caught.value.limit == least
    named = parse_size(caught.value.remedy.split()[3])
    assert divide("gpt", named, PLAN, CONFIG).slots >= 32
    with pytest.raises(MemoryLimitError):
        divide("gpt", least - 1, PLAN, CONFIG)


def test_gguf_is_refused_for_what_it_is():
    with pytest.raises(MemoryLimitError, match="cannot be streamed"):
        divide("m", 8 * GIB, PLAN, CONFIG, mapped=False)
    assert divide("m", 16 * GIB, PLAN, CONFIG, mapped=False).whole


def test_the_largest_limit_that_works_is_offered():
    offer = largest_offer(PLAN, CONFIG, 8 * GIB + GIB // 20)
    assert offer == "8.0GiB"
    assert divide("m", parse_size(offer), PLAN, CONFIG).slots > 32
    assert largest_offer(PLAN, CONFIG, GIB) is None


def test_options_are_rounded_up_so_that_they_hold_what_they_stand_for():
    for size in (1, GIB // 10, GIB, GIB + 1, 7 * GIB + 12345):
        assert size <= parse_size(as_option(size)) + GIB // 1000 < size + GIB // 10 + GIB // 500


def test_too_little_memory_is_refused_with_both_numbers_and_the_option(monkeypatch):
    available(monkeypatch, 8 * 10**9)
    with pytest.raises(
        MemoryLimitError, match=r"needs at least 1\d\.\d GB .* 8\.0 GB are available"
    ) as caught:
        require_memory("openai/gpt-oss-20b", PLAN, CONFIG)
    assert "--max-memory 7.4GiB" in caught.value.remedy
    assert caught.value.limit == 8 * 10**9 < caught.value.value


def test_where_nothing_can_be_offered_a_smaller_model_is(monkeypatch):
    available(monkeypatch, 10**9)
    with pytest.raises(MemoryLimitError) as caught:
        require_memory("openai/gpt-oss-20b", PLAN, CONFIG)
    assert "pocket" in caught.value.remedy
    assert "max-memory" not in caught.value.remedy


def test_enough_memory_passes(monkeypatch):
    available(monkeypatch, needed(PLAN))
    require_memory("m", PLAN, CONFIG)


def test_the_whole_120b_can_be_planned_within_eight_gib():
    config = shape_named("120b").config
    division = divide("120b", 8 * GIB, memory_plan(config, "q8", 8192), config)
    assert division.slots >= config.num_local_experts
    assert division.slot_bytes == slot_bytes(fitting.part_bytes(config))
