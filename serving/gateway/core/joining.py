"""Request batching, for each signature of each version: whether rows of several requests share its calls, and why.

    version appears ──▶ set by `batch_models`? its card's proof? ──▶ verdict at once
                         └── neither ──▶ its signature is asked, in a thread of this file ──▶ verdict later

A verdict stands on the lease, in `joining`, and dies with it; while there is none nothing is joined. The questions are
nobody's requests: they pass by the batcher, the metrics and the statistics.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from signet.serving.errors import ServingError
from signet.serving.gateway.core.backend import Lease
from signet.serving.gateway.settings import Settings
from signet.serving.models import example_rows, independence
from signet.serving.models.independence import Verdict
from signet.serving.process.supervision import JOINING, Failures
from signet.serving.tensors import signature
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature

log = logging.getLogger(__name__)

CALL_S = 10.0
"""Seconds that one call of a probe may take."""

_PROBE_S = 120.0
"""Seconds that all questions about a signature may take."""

_TRIES = 5
_PAUSE_S = 10.0
"""A signature that could not be asked is asked again so often, after such a pause."""

_UNKNOWN = Verdict(False, "not known yet: the model is being asked")

Predict = Callable[[Signature, Arrays], Arrays]
"""Runs one call of a version, in the calling thread. Raises `Gone` when the version has gone."""


class Gone(Exception):
    """The version that is probed has gone: nobody needs the verdict any more."""


class _TooLong(Exception):
    """The probe has used up its time; asking once more would not be quicker."""


@dataclass
class _Open:
    """A signature that has no verdict yet, and when to probe it."""

    lease: Lease
    signature: Signature
    predict: Predict
    tries: int = 0
    due: float = 0.0


def verdicts(lease: Lease) -> dict[str, Verdict]:
    """Signature -> the verdict that holds now, for each signature that can be called."""
    names = sorted(name for name in lease.signatures if not signature.internal(name))
    return {name: lease.joining.get(name, _UNKNOWN) for name in names}


class Joining:
    """Makes the verdicts of one gateway.

    `decide` may be called by any thread, `stop` by the event loop. A verdict is written once into the lease's `joining`,
    by whoever reaches it: `decide`, or the one thread of this object, which takes signatures off `_open`.
    """

    def __init__(self, settings: Settings, failures: Failures) -> None:
        self._switches, self._max_rows = settings.batch_switches, settings.batch_max_rows
        self._failures = failures
        self._open: deque[_Open] = deque()
        self._changed = threading.Condition()
        """Guards `_open`, `_thread` and `_stopping`."""
        self._stopping = False
        self._thread: threading.Thread | None = None

    def decide(self, lease: Lease, predict: Predict) -> None:
        """Take in a version that has appeared, or whose card has: note known verdicts, and find out the rest meanwhile."""
        for each in lease.signatures.values():
            if signature.internal(each.name):
                continue
            verdict = self._known(lease, each)
            if verdict:
                self._tell(lease, each, verdict)
            elif each.name not in lease.joining:
                self._add(_Open(lease, each, predict))

    def stop(self) -> None:
        """Probe no more; a call that is under way ends in its time."""
        with self._changed:
            self._stopping = True
            self._open.clear()
            self._changed.notify_all()

    def _known(self, lease: Lease, each: Signature) -> Verdict | None:
        if not each.batched:
            return Verdict(False, "not every input and output has a first dimension that is free")
        if self._max_rows == 1:
            return Verdict(False, "batch_max_rows is 1")
        switch = self._switches.get(lease.name)
        if switch is not None:
            return Verdict(switch, f"batch_models says {'on' if switch else 'off'}")
        proven = lease.card.independent(each.name)
        if proven is None:
            return None
        if proven:
            return Verdict(True, "its card says that rows were answered alone as in a batch")
        return Verdict(False, "its card says that requests go alone")

    def _tell(self, lease: Lease, each: Signature, verdict: Verdict) -> None:
        lease.joining[each.name] = verdict
        log.info(
            "model %r, version %d, signature %r: requests %s: %s",
            lease.name,
            lease.version,
            each.name,
            "share calls" if verdict.joined else "go alone",
            verdict.why,
        )

    def _add(self, entry: _Open) -> None:
        with self._changed:
            if self._stopping:
                return
            self._open.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="joining", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            try:
                self._find_out(entry)
            except Exception:
                self._failures.count(JOINING)
                log.exception("model %r, signature %r cannot be probed", entry.lease.name, entry.signature.name)
                verdict = Verdict(False, "not proven: the probe failed; the gateway's log says more")
                self._tell(entry.lease, entry.signature, verdict)

    def _next(self) -> _Open | None:
        """Wait for the first signature that is due; None when all is over."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                for entry in self._open:
                    if entry.due <= now:
                        self._open.remove(entry)
                        return entry
                self._changed.wait(min([entry.due - now for entry in self._open], default=None))
            return None

    def _find_out(self, entry: _Open) -> None:
        lease, each = entry.lease, entry.signature
        if each.name in lease.joining:
            return  # its card came meanwhile
        end = time.monotonic() + _PROBE_S

        def run(inputs: Arrays) -> Arrays:
            if self._stopping:
                raise Gone
            if time.monotonic() > end:
                raise _TooLong
            return entry.predict(each, inputs)

        try:
            verdict = independence.probe(run, each, example_rows.of(lease.card.folder, each), self._max_rows)
        except Gone:
            return
        except _TooLong:
            verdict = Verdict(False, f"not proven: its questions took more than {_PROBE_S:.0f} seconds")
        except ServingError as error:
            entry.tries += 1
            if entry.tries < _TRIES and not self._stopping:
                entry.due = time.monotonic() + _PAUSE_S
                self._add(entry)
                return
            verdict = Verdict(False, f"not proven: it could not be asked: {str(error)[:200]}")
        self._tell(lease, each, verdict)
