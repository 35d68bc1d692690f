"""Whether it was this process that was measured: late sends, a lagging event loop, a core that is full.

A load test that cannot keep up measures itself. The latencies then are upper bounds of the server's, and rates lower
ones; the report says so, and what to do about it.
"""

import math
import time
from collections.abc import Iterable

from hdrh.histogram import HdrHistogram

from signet.clients.load_test.plan.slo import seconds_text
from signet.clients.load_test.run.recording import new_histogram
from signet.clients.load_test.run.result import ClientHealth

_FULL_CORE = 0.9
_LATE_S = 0.002
"""Sends this late are not worth a word …"""
_LATE_SHARE = 0.1
"""… nor those that are so small a part of the latency that they add to."""
_WAITED_SHARE = 0.001
_MORE = "share the load among several machines (deploy/locustfile.py)"


class CpuClock:
    """Processor time of this process beside time itself, from when it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def cpu_share(self) -> float:
        """The share of one core that this process used since the clock was made."""
        return (time.process_time() - self._cpu) / max(1e-9, time.perf_counter() - self._wall)


def assess(
    late: Iterable[HdrHistogram],
    lag: Iterable[HdrHistogram],
    *,
    cpu_share: float,
    waited: int,
    requests: int,
    p99_s: float,
) -> ClientHealth:
    """What this process did to the measurement. p99_s: of all requests, infinite when too many failed."""
    late_p50_s, late_p99_s, late_max_s = _percentiles(late)
    _, lag_p99_s, lag_max_s = _percentiles(lag)
    noticed_s = max(_LATE_S, _LATE_SHARE * p99_s if math.isfinite(p99_s) else 0.0)
    limits = []
    if late_p99_s > noticed_s:
        limits.append(
            f"requests were sent late: 1 in 100 by more than {seconds_text(late_p99_s)}, which their latency includes; "
            f"lower the rate or {_MORE}"
        )
    elif lag_p99_s > noticed_s:
        limits.append(
            f"it looked late at answers: 1 in 100 times by more than {seconds_text(lag_p99_s)}, which latencies include; "
            f"{_MORE}"
        )
    if cpu_share > _FULL_CORE:
        limits.append(f"this process used {cpu_share:.0%} of a core, and can use no more than one; {_MORE}")
    overworked = bool(limits)
    if waited > _WAITED_SHARE * requests:
        limits.append(f"{waited:,} requests waited for a connection; allow more --connections")
    return ClientHealth(
        late_p50_s, late_p99_s, late_max_s, lag_p99_s, lag_max_s, round(cpu_share, 4), waited, overworked, tuple(limits)
    )


def _percentiles(histograms: Iterable[HdrHistogram]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum in seconds; zeros when there is nothing."""
    total = new_histogram()
    for histogram in histograms:
        total.add(histogram)
    if not total.get_total_count():
        return 0.0, 0.0, 0.0
    found = total.get_percentile_to_value_dict([50, 99, 100])
    return found[50] / 1e6, found[99] / 1e6, found[100] / 1e6
