"""What control groups leave, in both versions, beside what the system has."""

from collections import namedtuple

import psutil
import pytest

from ossia.model.memory.available import available_memory

MIB = 1 << 20
SYSTEM = 1000 * MIB


@pytest.fixture(autouse=True)
def system(monkeypatch):
    memory = namedtuple("Memory", "available")(SYSTEM)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def group(folder, limit, usage, cache=0, version=1):
    """A control group's folder: limit and usage in MiB, or a text for the limit."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
             2: ("memory.max", "memory.current", "")}  # fmt: skip
    limit_file, usage_file, prefix = names[version]
    (folder / limit_file).write_text(f"{limit if isinstance(limit, str) else limit * MIB}\n")
    (folder / usage_file).write_text(f"{usage * MIB}\n")
    stat = f"cache {cache * MIB}\n{prefix}active_file {cache * MIB - MIB}\n{prefix}inactive_file {MIB}\n"
    (folder / "memory.stat").write_text(stat)


@pytest.fixture
def own(tmp_path):
    def write(text):
        (tmp_path / "cgroup").write_text(text)
        return tmp_path / "cgroup"

    return write


def test_version_1(own, tmp_path):
    group(tmp_path / "memory" / "a" / "b", 700, 300, cache=100)
    assert available_memory(own("9:cpu:/a\n4:memory:/a/b\n0::/\n"), tmp_path) == 500 * MIB


def test_version_2(own, tmp_path):
    group(tmp_path / "user" / "app", 700, 300, cache=100, version=2)
    assert available_memory(own("0::/user/app\n"), tmp_path) == 500 * MIB


def test_a_group_above_may_be_the_narrower_one(own, tmp_path):
    group(tmp_path / "memory" / "a", 400, 350, cache=0 + 1)
    group(tmp_path / "memory" / "a" / "b", 700, 100, cache=1)
    assert available_memory(own("4:memory:/a/b\n"), tmp_path) == 51 * MIB


@pytest.mark.parametrize(("version", "limit"), [(1, "9223372036854771712"), (2, "max")])
def test_no_limit_leaves_what_the_system_has(own, tmp_path, version, limit):
    group(tmp_path / ("memory" if version == 1 else ".") / "a", limit, 300, version=version)
    assert available_memory(own("4:memory:/a\n0::/a\n"), tmp_path) == SYSTEM


def test_a_wide_limit_leaves_what_the_system_has(own, tmp_path):
    group(tmp_path / "memory" / "a", 5000, 300)
    assert available_memory(own("4:memory:/a\n"), tmp_path) == SYSTEM


def test_a_group_over_its_limit_leaves_nothing(own, tmp_path):
    group(tmp_path / "memory" / "a", 300, 400)
    assert available_memory(own("4:memory:/a\n"), tmp_path) == 0


def test_a_path_that_is_not_here_and_a_damaged_file_count_as_none(own, tmp_path):
    assert available_memory(own("4:memory:/elsewhere\n0::/../..\n"), tmp_path) == SYSTEM
    group(tmp_path / "memory" / "a", "?", 400)
    assert available_memory(own("4:memory:/a\n"), tmp_path) == SYSTEM
    assert available_memory(tmp_path / "nothing", tmp_path) == SYSTEM
