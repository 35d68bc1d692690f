"""What predicts for a job: the interface, and what a process must know to make one.

predict({"pixels": (64, 64)})  ──▶  {"digit": (64, 10)}        by the one version that the job is pinned to
"""

from dataclasses import dataclass
from typing import Protocol

from signet.clients.client.connecting import NOTHING, Access
from signet.serving.errors import UsageError
from signet.serving.exit_codes import ExitCode
from signet.serving.tensors.arrays import Arrays
from signet.serving.tensors.signature import Signature


class VersionGone(UsageError):
    """The version that the job is pinned to is not served any more."""

    exit_code = ExitCode.VERSION_GONE


class Predictor(Protocol):
    """Answers for one version of a model. Threads may share it."""

    def predict(self, arrays: Arrays) -> Arrays:
        """The outputs of the pinned version and signature."""

    def stop(self) -> None:
        """Give up the requests that wait; they raise `Cancelled`."""

    def close(self) -> None:
        """Let go of what is held; nothing is asked after it."""


@dataclass(frozen=True)
class Connection:
    """All that is needed to make a predictor, in this process or another."""

    url: str
    model: str
    version: int
    signature: str
    job: str
    concurrency: int
    rows_per_s: float | None
    patience_s: float
    access: Access = NOTHING


@dataclass(frozen=True)
class PinnedVersion:
    """The version that answers a job, and what tells it from others."""

    version: int
    signature: Signature
    digest: str
