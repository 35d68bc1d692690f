"""Where a version is in its life, as GetModelStatus tells it. Source: `get_model_status.proto`."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from signet.serving.errors import CODE_NAMES
from signet.serving.tensors.protos import get_model_status_pb2


class State(enum.IntEnum):
    """Life of a version; the numbers are the message's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


INCOMPLETE, BROKEN, UNANSWERED, OPERATIONS = "incomplete", "broken", "unanswered", "operations"
REASONS = (INCOMPLETE, BROKEN, UNANSWERED, OPERATIONS)
"""Why a version is not served: files are missing or still written; it does not load; it loads but does not answer; it
reaches operations that nobody has allowed."""


@dataclass(frozen=True)
class VersionStatus:
    """The state of a version, and the error that ended it."""

    version: int
    state: State
    error_code: str = "OK"
    error_message: str = ""
    """Why it is not served, or why what has replaced it on disk is not."""
    reason: str = ""
    """Why it is not served, in one of the words of `REASONS`; empty when nothing is wrong, or nobody knows."""


def of_all(parts: Sequence[Iterable[VersionStatus]]) -> list[VersionStatus]:
    """The versions of a model in several processes as one service's, highest first: each as callers may find it worst.

    A version is AVAILABLE when it is in all; one that failed in any has failed; on the way up it is as far as the last,
    START where one has not seen it; on the way down it is at its END when it is in all that know it.
    """
    found: dict[int, list[VersionStatus]] = {}
    for part in parts:
        for status in part:
            found.setdefault(status.version, []).append(status)
    return [_of_all(found[version], len(parts)) for version in sorted(found, reverse=True)]


def _of_all(statuses: Sequence[VersionStatus], processes: int) -> VersionStatus:
    states = [status.state for status in statuses]
    told = next((status for status in statuses if status.error_code != "OK" or status.error_message), statuses[0])
    leaving = {State.UNLOADING, State.END} & set(states)
    if told.error_code != "OK" or set(states) == {State.END}:
        return told
    if leaving:
        return replace(told, state=State.UNLOADING)
    return replace(told, state=min(states) if len(states) == processes else State.START)


def to_message(statuses: Iterable[VersionStatus]) -> get_model_status_pb2.GetModelStatusResponse:
    """A GetModelStatusResponse."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version, state=int(status.state))
        entry.status.error_code = CODE_NAMES.index(status.error_code)
        entry.status.error_message = status.error_message
    return response
