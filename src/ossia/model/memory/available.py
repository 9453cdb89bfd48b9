"""How much memory a program could still be given: by the system, and by the control groups it runs in."""

from collections.abc import Iterator
from pathlib import Path

import psutil

_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60  # version 1 says a number near 2^63


def available_memory(own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> int:
    """Bytes that can be had without swapping, page cache that could be dropped included.

    The least of what the system has and what each memory control group (version 1 or 2) above this process
    leaves. `own_groups` and `groups`: where the system says which groups there are.
    """
    return max(0, min([psutil.virtual_memory().available, *_rooms(own_groups, groups)]))


def _rooms(own_groups: Path, groups: Path) -> Iterator[int]:
    """What each group above this process leaves of its limit."""
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            files = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"
            yield from _above(groups / "memory", path, *files)
        elif number == "0" and not controllers:
            yield from _above(groups, path, "memory.max", "memory.current", "")


def _above(root: Path, path: str, limit: str, usage: str, prefix: str) -> Iterator[int]:
    folder = root / path.lstrip("/")
    while folder.is_relative_to(root):
        room = _room(folder, limit, usage, prefix)
        if room is not None:
            yield room
        if folder == root:
            return
        folder = folder.parent


def _room(folder: Path, limit: str, usage: str, prefix: str) -> int | None:
    """Limit less usage, the page cache not counted; None where there is no limit, or no such folder."""
    try:
        most = (folder / limit).read_text().strip()
        if most == "max" or int(most) >= _NO_LIMIT:
            return None
        used = int((folder / usage).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        droppable = sum(int(stat.get(f"{prefix}{kind}_file", 0)) for kind in ("active", "inactive"))
        return int(most) - max(0, used - droppable)
    except (OSError, ValueError):
        return None
