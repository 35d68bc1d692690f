"""The service as the `Predictor` of a job, by the one version that the job is pinned to.

    ServicePredictor(connection, note).predict({"pixels": (64, 64)})  ──▶  {"digit": (64, 10)}

A request goes out whole, by itself, and is retried until it is answered: a busy server (429) is left to its other
callers for as long as it says; one that is away is asked again with exponential backoff and jitter; a version that is
gone is waited for. When nothing was answered for as long as the job has patience, it stops. No other version answers in
its place. This replaces the client's own retries (clients/client/retries.py), which give up sooner. A request that the
client's throttle (clients/client/throttling.py) holds back waits, too; that time is not taken from the patience.
"""

import hashlib
import random
import time
from collections.abc import Callable
from dataclasses import replace

from signet.clients.client.caller import DEFAULT_TIMEOUT_S
from signet.clients.client.calls import Version
from signet.clients.client.connecting import Access
from signet.clients.client.http_client import Client
from signet.clients.client.retries import NEVER
from signet.clients.score.predictor import Connection, PinnedVersion, VersionGone
from signet.clients.score.throttle import BUSY_S, Throttle
from signet.serving.errors import (
    DeadlineExceeded,
    NotFound,
    Overloaded,
    ServingError,
    Throttled,
    Unavailable,
    UsageError,
)
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import select

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 2.0
_HELD_S = 0.2
"""Longest pause before a request that the client's throttle held back is tried again."""
_SHORTEST_TIMEOUT_S = 5.0
"""The shortest time-out of a request, however short the patience is: models take their time."""
BATCHING_HEADER = "X-Signet-Batching"
"""The header that says `off`: the request is not merged with others, so its answer depends on its rows alone."""
JOB_HEADER = "X-Signet-Job"
"""The header with the job's name; the gateway keeps a version loaded while requests of a job come for it."""


def pin(url: str, access: Access, model: str, version: int | None, signature: str, patience_s: float) -> PinnedVersion:
    """The version that is to answer; None: the highest that is served now. Raises `VersionGone` for one that is not.

    patience_s: to wait for a version that was served before and may come back.
    """
    deadline = time.monotonic() + patience_s
    with Client.of(url, access) as client:
        while True:
            try:
                described = client.describe(model, version=version)
            except NotFound as error:
                served = _served(client, model)
                if version is None or not served:
                    raise
                if time.monotonic() >= deadline:
                    raise _gone(model, version, served) from error
                time.sleep(min(_LONGEST_DELAY_S, max(0, deadline - time.monotonic())))
            except Overloaded as error:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(min(error.retry_after_s or BUSY_S, max(0, deadline - time.monotonic())))
            else:
                return PinnedVersion(
                    described.number, select(described.signatures, signature, model), digest(described)
                )


def digest(described: Version) -> str:
    """A hash of what the server says of the version: another one with the same number has another."""
    content = (described.digest, sorted(described.signatures.items()))
    return hashlib.sha256(repr(content).encode()).hexdigest()


class ServicePredictor:
    """The service over HTTP. The threads of a job share it."""

    def __init__(self, connection: Connection, note: Callable[[str], None]) -> None:
        """A client of the service. note: is told why there is a wait."""
        self._to, self._note = connection, note
        self._throttle = Throttle(connection.concurrency, connection.rows_per_s)
        # Answers are not compressed: numbers gain little by it, and the server has better things to do.
        headers = ((BATCHING_HEADER, "off"), (JOB_HEADER, connection.job), ("Accept-Encoding", "identity"))
        access = replace(connection.access, headers=(*connection.access.headers, *headers))
        timeout_s = min(DEFAULT_TIMEOUT_S, max(_SHORTEST_TIMEOUT_S, connection.patience_s))
        # The job has its own patience.
        self._client = Client.of(connection.url, access, timeout_s=timeout_s, retry=NEVER)
        self._answered = 0.0
        """When the last answer came, by `time.monotonic`. Any thread writes it: each value is a later one, near enough."""

    def predict(self, arrays: Arrays) -> Arrays:
        """The answer of the pinned version. Raises what the server says of the rows.

        Raises `Overloaded`, `Unavailable` or `VersionGone` when patience has run out, `Cancelled` after `stop`.
        """
        delay_s, first, held_s = _FIRST_DELAY_S, 0.0, 0.0
        rows = len(next(iter(arrays.values())))
        while True:
            try:
                with self._throttle.turn(rows):
                    first = first or time.monotonic()
                    outputs = self._client.predict(
                        self._to.model, arrays, version=self._to.version, signature=self._to.signature
                    )
                self._answered = time.monotonic()
                return outputs
            except Throttled as error:
                self._note(f"waiting: {error}")
                pause_s = random.uniform(_HELD_S / 2, _HELD_S)  # noqa: S311  # no secret
                held_s += pause_s
                self._throttle.pause(pause_s)
                continue
            except Overloaded as error:
                problem: ServingError | UsageError = error
            except (Unavailable, DeadlineExceeded, NotFound) as error:
                problem = self._why_missing(error) if isinstance(error, NotFound) else error
            now = time.monotonic()
            # A server that answers other requests of the job meanwhile is not away.
            deadline = max(first, self._answered) + self._to.patience_s + held_s
            if now >= deadline:
                raise type(problem)(f"{problem}; gave up after {self._to.patience_s:g} s") from problem
            self._note(f"waiting: {problem}")
            if isinstance(problem, Overloaded):
                self._throttle.yield_to_others(min(problem.retry_after_s or BUSY_S, deadline - now))
                continue
            self._throttle.pause(min(random.uniform(delay_s / 2, delay_s), deadline - now))  # noqa: S311  # no secret
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    @property
    def throttled(self) -> int:
        """How often a request was held back by the client's throttle."""
        return self._client.throttled.get(self._to.model, 0)

    def stop(self) -> None:
        """Let no waiting request go out any more."""
        self._throttle.stop()

    def close(self) -> None:
        """Close the connections to the server."""
        self._client.close()

    def _why_missing(self, error: NotFound) -> ServingError | UsageError:
        """The error to report: `VersionGone` only when other versions are served; a server that starts has none at first."""
        try:
            served = _served(self._client, self._to.model)
        except ServingError as away:
            return away
        if not served or self._to.version in served:
            return Unavailable(str(error))
        return _gone(self._to.model, self._to.version, served)


def _served(client: Client, model: str) -> tuple[int, ...]:
    return next((found.versions for found in client.models() if found.name == model), ())


def _gone(model: str, version: int, served: tuple[int, ...]) -> VersionGone:
    policy = f"model_version_policy {{ specific {{ versions: {version} }} }}"
    return VersionGone(
        f"version {version} of {model!r}, which this job is pinned to, is not served any more; there is "
        f"{', '.join(map(str, served))} now. What was scored is kept: have it served again, by {policy} or "
        "latest { num_versions: 2 } in the model config file, and run the same command"
    )
