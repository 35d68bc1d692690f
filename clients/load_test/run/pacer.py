"""Wakes an event loop at exact times, and measures how late the loop then is.

The timers of event loops are whole milliseconds, which at a latency of half a millisecond would be most of what is
measured. A thread that sleeps is exact to some 60 µs. How long the loop takes from the thread's call to running it is
the loop's lag: what this process itself adds to every latency.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from types import TracebackType


class Pacer:
    """Calls `tick` on the loop; the time that `tick` gives is when it is called next. Use it as a context.

    The loop's thread and the pacer's meet in `_times` and `_stop` alone.
    """

    def __init__(self, tick: Callable[[], float], lagged: Callable[[float], None]) -> None:
        """tick: gives a time of `time.perf_counter`, infinite to be called no more. lagged: is told lags in seconds."""
        self._tick, self._lagged = tick, lagged
        self._loop = asyncio.get_running_loop()
        self._times: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pace, name="pacer", daemon=True)

    def __enter__(self) -> "Pacer":
        self._thread.start()
        self._run(time.perf_counter())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._times.put(float("inf"))
        self._thread.join()

    def _run(self, woken: float) -> None:
        self._lagged(time.perf_counter() - woken)
        self._times.put(self._tick())

    def _pace(self) -> None:
        while (at := self._times.get()) != float("inf"):
            left_s = at - time.perf_counter()
            if left_s > 0.1:
                self._stop.wait(left_s)
            elif left_s > 0:
                time.sleep(left_s)
            if self._stop.is_set():
                return
            self._loop.call_soon_threadsafe(self._run, time.perf_counter())
