"""Where a version is in its life, as GetModelStatus tells it. Source: `get_model_status.proto`."""

import enum
from dataclasses import dataclass


class State(enum.IntEnum):
    """Life of a version; the numbers are the message's."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """The state of a version, and the error that ended it."""

    version: int
    state: State
    error_code: str = "OK"
    error_message: str = ""
