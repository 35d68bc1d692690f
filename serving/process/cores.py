"""How many cores there are for this process, and how limits of a service are shared out among its processes.

affinity 8 cores, cgroup quota 2.5 cores ──▶ 2         share(512, 3, 0) ──▶ 171, …1 ──▶ 171, …2 ──▶ 170
"""

import contextlib
import math
import os
from pathlib import Path
from typing import NamedTuple

from signet.serving.errors import UsageError

MOST_PROCESSES = 256
"""Processes of one service, at most: each holds models and libraries of its own."""

_QUOTAS = (
    (Path("/sys/fs/cgroup/cpu.max"), None),
    (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")),
)
"""Where a container finds its quota: version 2 has both numbers in one file, version 1 in two."""


def usable() -> int:
    """The cores that this process may use: by its affinity, where the system has such a thing, and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(cores, quota())))


def quota(files: tuple[tuple[Path, Path | None], ...] = _QUOTAS) -> float:
    """The cores that the container's quota comes to; infinite without one."""
    for first, second in files:
        with contextlib.suppress(OSError, ValueError):
            words = first.read_text().split() + (second.read_text().split() if second else [])
            if words[0] not in ("max", "-1"):
                return max(1.0, int(words[0]) / int(words[1]))
    return math.inf


def processes(text: str) -> int:
    """How many processes a user asks for: a number from 1 to `MOST_PROCESSES`, or `auto`. Raises `UsageError`."""
    if text == "auto":
        return min(usable(), MOST_PROCESSES)
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST_PROCESSES):
        raise UsageError(f"processes is {text[:40]!r}; expected a number from 1 to {MOST_PROCESSES}, or auto")
    return int(text)


class Share(NamedTuple):
    """Which of how many processes one is, and what it gets therefore of what a service has."""

    place: int = 0
    processes: int = 1

    def of(self, whole: int) -> int:
        """Its part of a limit, 1 at least: all parts together are the limit, where there is enough of it."""
        return max(1, share(whole, self.processes, self.place))

    @property
    def threads(self) -> int | None:
        """Threads that it takes where a single process takes one a core; None for that one."""
        return threads(self.processes) if self.processes > 1 else None


ALONE = Share()


def share(whole: int, processes: int, index: int) -> int:
    """What the process of that index, from 0, gets of a limit: all shares together are the limit."""
    return whole // processes + (index < whole % processes)


def threads(processes: int) -> int:
    """Threads that one of so many processes takes where a single one takes one a core."""
    return max(1, usable() // processes)
