"""How many connections the limit of open files leaves room for: the limit is raised as far as the system allows.

4,096 connections, soft limit 1,024, hard limit 20,000 ──▶ soft limit 5,632, all 4,096
4,096 connections, soft and hard limit 1,024           ──▶ 512 connections, and a line in the log
"""

import logging
import resource

log = logging.getLogger(__name__)

OTHERS = 1536
"""Open files beside the connections of HTTP: models, libraries, pipes, and 1,024 connections of gRPC."""


def connections(wanted: int) -> int:
    """Raise the process's limit of open files for so many connections; gives how many there is room for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHERS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if limit > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError):
            limit = soft
    limit = max(limit, soft)
    if limit >= needed:
        return wanted
    fitting = min(wanted, max(1, limit - OTHERS, limit // 2))
    log.warning(
        "the limit of open files is %d and cannot be raised: %d connections are taken at once, not %d; "
        "raise it with `ulimit -n %d`",
        limit,
        fitting,
        wanted,
        needed,
    )
    return fitting
