"""Back-pressure: while refusing takes too much of the event loop, who was refused is not read for a moment.

    a refusal took so many seconds ──▶ a fifth of the window? ──more──▶ pauses grow   ──half──▶ pauses shrink to nothing
                                                                     └──▶ the connection is read again by a timer

TCP then holds the next request of that caller, and its sender; others, and the probes, are read as ever. Pauses are bounded, so
that it never comes to a standstill.
"""

import time
from collections.abc import Callable

SHARE = 0.2
"""Of the loop's time that refusing may take."""

LEAST_S, MOST_S = 0.0002, 0.02
"""A pause, while there are any. What comes in one waits unseen, and its deadline passes meanwhile: so it is shorter than what
admission keeps in reserve of a tenth of a second, though with hundreds of connections only longer ones would hold the share."""

_STEP = 1.5
"""By which pauses grow and shrink in a window."""

_WINDOW_S = 0.05

_KERNEL = 2.0
"""Reading from a socket and writing to it cost about as much again as what is seen of a refusal."""


def next_pause_s(before_s: float, share: float) -> float:
    """The pause after a window in which refusing took that share of the time; 0 for none. before_s: the last one."""
    if share > SHARE:
        return min(MOST_S, max(LEAST_S, before_s * _STEP))
    if share > SHARE / 2.0:
        return before_s
    return before_s / _STEP if before_s / _STEP >= LEAST_S else 0.0


class BackPressure:
    """What refusing costs one event loop, which alone touches it."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._pause_s = self._refusing_s = 0.0
        self._since = clock()
        """When the window began."""

    def refused(self, seconds: float) -> float:
        """Count a refusal that took so long; gives the seconds for which its connection is not to be read."""
        self._refusing_s += _KERNEL * seconds
        elapsed_s = self._clock() - self._since
        if elapsed_s >= _WINDOW_S:
            share = self._refusing_s / elapsed_s
            self._pause_s = next_pause_s(self._pause_s if elapsed_s < 2 * _WINDOW_S else 0.0, share)
            self._refusing_s, self._since = 0.0, self._since + elapsed_s
        return self._pause_s
