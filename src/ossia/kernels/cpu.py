"""Which instruction set and how many threads the kernels use.

The choice is one per process and held by the native module; programs recorded earlier follow it.
"""

import os
import warnings
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from ossia.errors import IsaUnavailableError, SettingsError
from ossia.kernels import _native

_CPUS = Path("/sys/devices/system/cpu")
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class CpuPlan:
    """What the kernels run on."""

    isa: str
    threads: int


def available_isas() -> tuple[str, ...]:
    """Instruction sets this CPU and operating system can run, plainest first.

    x86: scalar, avx2, avxvnni (AVX2 with AVX-VNNI), avx512. ARM: scalar, neon (dot products), neon_i8mm.
    """
    return tuple(_native.isas())


def configure(isa: str | None = None, threads: int | None = None) -> CpuPlan:
    """Choose the kernels' instruction set (None: the best) and threads (None: the physical cores we may use).

    Raises IsaUnavailableError for a set this CPU lacks, SettingsError for less than one thread.
    Without AVX2 (ARM: dot products) the default is scalar, with a RuntimeWarning.
    """
    known = available_isas()
    if isa is not None and isa not in known:
        raise IsaUnavailableError(
            f"this CPU cannot run {isa} kernels",
            value=isa,
            limit=known,
            remedy=f"Set OSSIA_ISA to one of {', '.join(known)}, or unset it.",
        )
    if threads is not None and threads < 1:
        raise SettingsError(
            f"{threads} threads cannot run anything", value=threads, limit=(1, 1024), remedy="Use 1 or more."
        )
    if isa is None and known == ("scalar",):
        reason = "this CPU has neither AVX2 nor ARM's dot products: Ossia will be slow here"
        warnings.warn(reason, RuntimeWarning, stacklevel=2)
    plan = CpuPlan(isa or known[-1], threads or default_threads())
    _native.configure(plan.isa, plan.threads)
    return plan


def current() -> CpuPlan:
    """The plan in use; the first call chooses the default."""
    chosen = _native.configured()
    return configure() if chosen is None else CpuPlan(*chosen)


def default_threads() -> int:
    """Physical cores this process may use, by its affinity and its cgroup's quota."""
    allowed = os.sched_getaffinity(0)
    cores = {_siblings(cpu) for cpu in allowed}
    quota = _quota_cores()
    return max(1, min(len(cores), len(cores) if quota is None else quota))


def _siblings(cpu: int) -> str:
    """The hardware threads of a CPU's core, as Linux lists them; the CPU itself where it does not say."""
    try:
        return (_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip()
    except OSError:
        return str(cpu)


def _quota_cores() -> int | None:
    """Cores the cgroup (v2 or v1) pays for, rounded up; None without a quota."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (_CGROUP / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (_CGROUP / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if quota in ("max", "-1"):
        return None
    return max(1, ceil(int(quota) / int(period)))
