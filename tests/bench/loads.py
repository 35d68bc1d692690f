"""What is asked of every server: which model, how many rows, in which dialect, on how many connections.

LOADS ──(--quick, --only 'digits*64')──▶ the loads of a run, in order
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Dialect = Literal["rest", "v2-binary", "grpc"]
"""V1 JSON; V2 with tensors as bytes; TensorFlow Serving's Predict."""


@dataclass(frozen=True)
class Load:
    """A closed loop: each connection has `in_flight` requests under way, always the same one."""

    model: str
    rows: int
    dialect: Dialect
    connections: int
    in_flight: int = 1

    @property
    def name(self) -> str:
        """Such as `digits rest 64`, `digits-32rows rest 4`, `digits grpc 1x64`: connections x in flight."""
        rows = "" if self.rows == 1 else f"-{self.rows}rows"
        callers = f"{self.connections}x{self.in_flight}" if self.dialect == "grpc" else f"{self.connections}"
        return f"{self.model}{rows} {self.dialect} {callers}"


LOADS = (
    *(Load("digits", 1, "rest", connections) for connections in (1, 16, 64)),
    Load("digits", 32, "rest", 4),
    *(Load("question_answering", 1, "rest", connections) for connections in (1, 16, 64)),
    *(Load("social_posts", 1, "rest", connections) for connections in (1, 16, 64)),
    Load("image", 1, "rest", 4),
    Load("image", 1, "v2-binary", 4),
    *(Load("digits", 1, "grpc", *callers) for callers in ((1, 1), (1, 16), (1, 64), (16, 1), (16, 4))),
    Load("digits", 32, "grpc", 4),
    *(Load("question_answering", 1, "grpc", *callers) for callers in ((1, 1), (1, 16), (1, 64))),
    Load("image", 1, "grpc", 4),
)

QUICK = (
    "digits rest 1",
    "digits rest 64",
    "digits-32rows rest 4",
    "image rest 4",
    "digits grpc 1x1",
    "digits grpc 1x64",
)


def select(patterns: Sequence[str], quick: bool) -> list[Load]:
    """The loads whose names fit one of the patterns (of none: all), with `quick` only those of QUICK where none is given.

    Raises ValueError when a pattern fits no load.
    """
    for pattern in patterns:
        if not any(fnmatchcase(load.name, pattern) for load in LOADS):
            raise ValueError(f"--only {pattern!r} fits no load; there are: {', '.join(load.name for load in LOADS)}")
    wanted = patterns or (QUICK if quick else ["*"])
    return [load for load in LOADS if any(fnmatchcase(load.name, pattern) for pattern in wanted)]
