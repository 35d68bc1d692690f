"""The brake: this process stops a candidate that does badly, at once and by itself, and has it rolled back for all.

    answered requests, compared copies ──▶ Trial ──alarm──▶ Routing.stop: no request goes there any more, here
                                                        └─▶ Following.lower: rolled_back is written, off the event loop

It can only stop. No error of its own reaches a request: it is logged, and counted.
"""

import logging
import threading
from collections.abc import Callable, Mapping

from signet.serving.errors import DeadlineExceeded, ServingError, UsageError
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.releases.trial import Trial
from signet.serving.process.supervision import RELEASES, Failures
from signet.serving.releases.judge import Policy
from signet.serving.releases.release import Release

log = logging.getLogger(__name__)

_OURS = 500
"""HTTP status from which an error is the server's fault."""
_OF_NO_VERSION = {429, 499}
"""HTTP statuses of calls that were not run to their end: no room, and a caller who has left."""


class Brake:
    """The trials of one process. The thread that follows releases replaces `trials`, under `_lock`; the event loop counts."""

    def __init__(
        self,
        stop: Callable[[str, Release], None],
        lower: Callable[[str, Release, str], None],
        failures: Failures,
        stopped: Callable[[str], None] = lambda model: None,
    ) -> None:
        """stop, lower: as `Routing.stop` and `Following.lower`. stopped(model): told of each alarm."""
        self._stop, self._lower, self._failures, self._stopped = stop, lower, failures, stopped
        self.trials: Mapping[str, Trial] = {}
        """Model -> its candidate's, while its release is open; afterwards what came of it, until the next one begins."""
        self._lock = threading.Lock()

    def follow(self, releases: Mapping[str, Release]) -> None:
        """These releases are in force."""
        with self._lock:
            trials = {}
            for model, release in releases.items():
                before = self.trials.get(model)
                if before is not None and _trial_of(before.release) == _trial_of(release):
                    before.follow(release, _policy(release))
                    trials[model] = before
                elif release.open:
                    trials[model] = Trial(release, _policy(release))
            self.trials = trials

    def observe(self, request: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        """Count an answered request. An `Observer`."""
        key = request.routed
        if key is None:
            return
        trial = self.trials.get(request.model)
        if trial is None or trial.verdict or not trial.release.share:
            return
        try:
            failed = request.error is not None and _failed(request, request.error)
            reason = trial.observe(request.version, key, seconds, failed=failed)
            if reason is not None:
                self._judge(trial, request.model, reason)
        except Exception:
            self._failures.count(RELEASES)
            log.exception("what the candidate of %r does is not counted", request.model)

    def compared(self, model: str, trial: Trial, *, failed: bool, differs: bool) -> None:
        """Count a copy that was shown to the candidate of a trial."""
        try:
            reason = trial.compared(failed=failed, differs=differs)
            if reason is not None:
                self._judge(trial, model, reason)
        except Exception:
            self._failures.count(RELEASES)
            log.exception("what the candidate of %r does is not counted", model)

    def _judge(self, trial: Trial, model: str, reason: str) -> None:
        self._stop(model, trial.release)
        log.error("the candidate of %r, version %s, is stopped: %s", model, trial.candidate, reason)
        self._stopped(model)
        self._lower(model, trial.release, reason)


def _failed(request: RequestContext, error: ServingError) -> bool:
    """Whether an error is held against the version.

    A call's is, whatever it says: a graph that finds an index out of range calls that the caller's fault, and so it may be; then
    the other version says it as often.
    """
    if type(error) is DeadlineExceeded and request.limited:
        return False  # its caller's own limit: slow, if anything
    if error.http_status >= _OURS:
        return True
    return request.run_s is not None and error.http_status not in _OF_NO_VERSION


def _trial_of(release: Release) -> tuple[str, int | None]:
    return release.salt, release.candidate


def _policy(release: Release) -> Policy:
    try:
        return Policy.parse(release.limits)
    except UsageError as error:
        log.error("the release of %r is judged by the usual limits: %s", release.model, error)
        return Policy()
