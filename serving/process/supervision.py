"""Work that goes on in the background for as long as a program runs: a fault is logged, counted, and tried again.

Background("models-folder", step, failures).start() ──▶ step, step, … in a thread of its own
                                                        a step fails ──▶ log, failures, a growing pause ──▶ step
"""

import logging
import threading
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily

log = logging.getLogger(__name__)

_LONGEST_BACKOFF_S = 60.0

REPOSITORY, FOLDER, STORE, POLLER, CONFIG = "repository", "models-folder", "model-store", "poller", "config-file"
JOINING, REQUEST_LOG, CERTIFICATES = "joining", "request-log", "certificates"
KEYS, ACCESS_LOG, RELEASES = "keys", "access-log", "releases"
TASKS = (REPOSITORY, FOLDER, STORE, POLLER, CONFIG, JOINING, REQUEST_LOG, CERTIFICATES, KEYS, ACCESS_LOG, RELEASES)
"""All kinds of such work: versions of models, names of models, a bucket, model servers, a config file, whose rows share calls,
files of requests, certificates, the file of keys, the access log, releases."""


class Failures:
    """The number of failures of each kind of background work. Any thread may count."""

    def __init__(self, tasks: Iterable[str] = TASKS) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(tasks, 0)
        """Task -> failures; written under the lock."""

    def count(self, task: str) -> None:
        with self._lock:
            self._counts[task] = self._counts.get(task, 0) + 1

    def counts(self) -> dict[str, int]:
        """Task -> failures, those at 0 too: a rate needs a value before the first one."""
        with self._lock:
            return dict(self._counts)

    def family(self) -> CounterMetricFamily:
        """The counts as Prometheus reads them."""
        text = "Faults of work in the background, which is tried again, by task."
        family = CounterMetricFamily("signet_background_failures", text, labels=["task"])
        for task, count in self.counts().items():
            family.add_metric([task], count)
        return family


class Backoff:
    """Exponential backoff: how long to wait after failures in a row, 1, 2, 4, … up to `longest_s` seconds."""

    def __init__(self, longest_s: float = _LONGEST_BACKOFF_S) -> None:
        self._longest_s, self._failures = longest_s, 0

    def failed(self) -> float:
        """Count one failure more; gives the seconds to wait."""
        self._failures += 1
        return min(self._longest_s, float(1 << min(self._failures - 1, 32)))

    def reset(self) -> None:
        """Begin anew, after a success."""
        self._failures = 0


class Background:
    """A thread that makes one step after the other until it is stopped, whatever a step raises."""

    def __init__(
        self, task: str, step: Callable[[], float | None], failures: Failures, name: str = "", after_s: float = 0.0
    ) -> None:
        """step: gives the seconds until the next one, below 0 to wait for `wake`; None: it was the last one.

        after_s: seconds until the first one.
        """
        self._task, self._step, self._failures, self._after_s = task, step, failures, after_s
        self._stopping, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name or task, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Make the next step at once."""
        self._woken.set()

    def stop(self) -> None:
        """No further step; `join` waits for the one that runs."""
        self._stopping.set()
        self._woken.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait so many seconds at most for the thread to end; True when it has."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def pause(self, seconds: float) -> bool:
        """For a step that has to wait: whether to go on after so many seconds; False at once when it is to stop."""
        return not self._stopping.wait(max(0.0, seconds))

    def _run(self) -> None:
        pause = Backoff()
        self._woken.wait(self._after_s)
        self._woken.clear()
        while not self._stopping.is_set():
            try:
                wait_s = self._step()
            except Exception:  # whatever it is: what depends on this thread must not stand still for ever
                self._failures.count(self._task)
                wait_s = pause.failed()
                log.exception("background work %r failed; trying again in %g s", self._task, wait_s)
            else:
                pause.reset()
            if wait_s is None:
                return
            self._woken.wait(wait_s if wait_s >= 0 else None)
            self._woken.clear()
