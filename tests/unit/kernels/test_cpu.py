"""cpu: what the machine offers, what may be chosen, and what is said when it may not."""

import os

import pytest

from ossia.errors import IsaUnavailableError, SettingsError
from ossia.kernels import cpu


def test_scalar_is_always_there_and_the_best_is_the_default():
    assert cpu.available_isas()[0] == "scalar"
    assert cpu.configure().isa == cpu.available_isas()[-1]


def test_the_choice_stays():
    cpu.configure("scalar", 3)
    assert cpu.current() == cpu.CpuPlan("scalar", 3)


def test_an_isa_this_cpu_lacks_is_refused_with_what_it_has():
    with pytest.raises(IsaUnavailableError) as error:
        cpu.configure("neon")
    assert error.value.value == "neon"
    assert error.value.limit == cpu.available_isas()
    assert "OSSIA_ISA" in error.value.remedy


def test_no_threads_is_refused():
    with pytest.raises(SettingsError):
        cpu.configure(threads=0)


def test_without_avx2_scalar_is_used_with_a_warning(monkeypatch):
    monkeypatch.setattr(cpu, "available_isas", lambda: ("scalar",))
    with pytest.warns(RuntimeWarning, match="AVX2"):
        assert cpu.configure(threads=1) == cpu.CpuPlan("scalar", 1)
    assert cpu.configure("scalar", 1).isa == "scalar"  # asked for: no warning


def test_threads_share_no_core(monkeypatch, tmp_path):
    for i, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        topology = tmp_path / f"cpu{i}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(siblings + "\n")
    monkeypatch.setattr(cpu, "_CPUS", tmp_path)
    monkeypatch.setattr(cpu, "_CGROUP", tmp_path / "none")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})
    assert cpu.default_threads() == 2
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3})
    assert cpu.default_threads() == 1


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({"cpu.max": "250000 100000"}, 3),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({}, 8),
    ],
)
def test_threads_stay_within_the_cgroups_quota(files, threads, monkeypatch, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    monkeypatch.setattr(cpu, "_CPUS", tmp_path / "none")
    monkeypatch.setattr(cpu, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cpu.default_threads() == threads
