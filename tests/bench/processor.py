"""Processor time, from /proc: of a program with its children, and of the whole machine.

/proc/PID/stat of a program, its children and theirs  ──▶ tree_s
/proc/stat                                            ──▶ Machine: busy, and stolen by other guests of the host
"""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Machine:
    """Processor seconds of all cores since the machine started."""

    busy_s: float
    stolen_s: float


def machine() -> Machine:
    user, nice, system, _, _, irq, softirq, stolen = (
        int(text) / _TICKS_A_S for text in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return Machine(user + nice + system + irq + softirq, stolen)


def tree_s(pid: int) -> float:
    """Processor seconds of a program, its children and theirs, those that have ended included; 0 when it is gone."""
    return sum(map(_own_s, _tree(pid)))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for file in Path(f"/proc/{each}/task").glob("*/children"):
            found += map(int, _read(file).split())
    return found


def _own_s(pid: int) -> float:
    """User and system time of a process, and of those of its children that it has waited for."""
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_A_S


def _read(file: Path) -> str:
    """Its text; empty when its process has just ended."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
