"""Whether a file is still the one that was read: another stamp after nearly every change, whoever makes it.

path ──stat──▶ (inode, time of change, size, device)        a link counts as what it leads to
"""

from pathlib import Path

Stamp = tuple[int, int, int, int]
CHANGED_NS = 1
"""Where in it the time of the last change stands, in nanoseconds since 1970."""


def stamp(path: Path) -> Stamp | None:
    """That of what lies there now; None where there is nothing that can be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_dev
