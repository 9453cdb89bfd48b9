from pathlib import Path

import pytest

from ossia.errors import SettingsError
from ossia.settings import load_settings


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("", None),
        ("off", None),
        ("on", 2 << 30),
        ("4GiB", 4 << 30),
        ("500MB", 500_000_000),
        ("1 TB", 10**12),
        ("64KiB", 64 << 10),
    ],
)
def test_the_prefix_cache_is_off_on_or_a_size(value, size):
    assert load_settings({"OSSIA_PREFIX_CACHE": value}).prefix_cache_bytes == size


def test_the_prefix_cache_may_name_a_folder():
    settings = load_settings({"OSSIA_PREFIX_CACHE": "~/kept"})
    assert (settings.prefix_cache_bytes, settings.prefix_cache_dir) == (2 << 30, Path.home() / "kept")


def test_the_prefix_cache_is_off_unless_switched_on():
    assert load_settings({}).prefix_cache_bytes is None


@pytest.mark.parametrize(
    "value", ["yes", "4", "0GiB", "-1GB", "1.GiB", "4gib", "4 G", "٤GiB", "1000000000TB"]
)
def test_anything_else_is_an_error_with_a_remedy(value):
    with pytest.raises(SettingsError, match="neither off, on, a size nor a folder") as caught:
        load_settings({"OSSIA_PREFIX_CACHE": value})
    assert caught.value.value == value
    assert "4GiB" in str(caught.value.remedy)


def test_the_head_is_screened_unless_switched_off():
    assert [load_settings({"OSSIA_SCREENED_HEAD": v}).screened_head for v in ("", "on", "off")] == [
        True,
        True,
        False,
    ]
    with pytest.raises(SettingsError, match="OSSIA_SCREENED_HEAD"):
        load_settings({"OSSIA_SCREENED_HEAD": "yes"})


def test_speculation_is_on_unless_switched_off():
    assert [load_settings({"OSSIA_SPECULATION": v}).speculation for v in ("", "on", "off")] == [
        True,
        True,
        False,
    ]
    with pytest.raises(SettingsError, match="OSSIA_SPECULATION"):
        load_settings({"OSSIA_SPECULATION": "yes"})


def test_the_kv_cache_goes_with_the_numerics_unless_it_is_set():
    assert [load_settings({"OSSIA_KV_CACHE": v}).kv_cache for v in ("", "int8", "bf16")] == [
        None,
        "int8",
        "bf16",
    ]
    with pytest.raises(SettingsError, match="OSSIA_KV_CACHE"):
        load_settings({"OSSIA_KV_CACHE": "int4"})


def test_an_unknown_variable_is_an_error():
    with pytest.raises(SettingsError, match="unknown setting OSSIA_PREFIXCACHE"):
        load_settings({"OSSIA_PREFIXCACHE": "on"})


def test_the_limit_of_memory_is_a_size_or_none():
    assert load_settings({}).max_memory_bytes is None
    assert load_settings({"OSSIA_MAX_MEMORY": "7.5GiB"}).max_memory_bytes == 15 << 29
    with pytest.raises(SettingsError, match="is not a size"):
        load_settings({"OSSIA_MAX_MEMORY": "on"})
