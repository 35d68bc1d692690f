"""What a run of the overload benchmark has measured, and its file: pure arithmetic, no server.

    Sent (one request: when, what came of it, after how long) ──tally──▶ Tally of a stream ──▶ Point, Pair ──▶ Overload

A point is a step of an open loop: so many times the capacity, for some seconds, and then a step below the capacity, which
shows how soon the server is itself again.
"""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.environment import Environment, Interpreter

FILE = "results.json"
OK = "ok"
REFUSED = frozenset({"429", "503"})
"""Statuses that refuse for overload."""

GOODPUT = {"sleeping": 0.9, "computing": 0.8}
"""What is asked of goodput over its peak, at every point."""
REFUSAL_S = 0.02
"""… of the 99th percentile of refusals' latencies."""
RECOVERED = 0.95
"""… of the share answered in time in the second that begins a second after the overload."""
BESIDE = 2.0
"""… of the p99 beside a hot model: so many times that alone, and a call of the hot model."""
KEPT = 0.994
"""… of the share that a caller beside a hot one gets in time."""
LAGS = 0.1
"""A client that sends 1 in 100 requests later than this part of the deadline lags."""
WAITED = 0.01
"""Or one of whose requests more than this part waited for a connection."""
FULL_CORE = 0.95
SENT = 0.97
"""Or one that sends less than this part of what was due, and by more than chance: see `Health.lags`."""


class Sent(NamedTuple):
    """One request."""

    stream: int
    at_s: float
    """When it was sent, from the step's beginning."""
    outcome: str
    took_s: float


@dataclass(frozen=True)
class Tally:
    """What came of one stream's requests in one step."""

    sent: int
    in_time: int
    late: int
    """Answered, after the deadline."""
    refused: int
    failed: dict[str, int]
    """Everything else, by outcome: 504, no answer, a connection that broke."""
    p50_s: float | None
    """Of the answers, as the next one; None without any."""
    p99_s: float | None
    refusal_p99_s: float | None

    @property
    def share(self) -> float:
        """Answered in time, of all that were sent; 1 when nothing was."""
        return self.in_time / self.sent if self.sent else 1.0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest rank: of 1, 2, … 100 the 99 % are 99. None of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def tally(requests: Sequence[Sent], deadline_s: float) -> Tally:
    """Count the requests of one stream."""
    answers = [request.took_s for request in requests if request.outcome == OK]
    refusals = [request.took_s for request in requests if request.outcome in REFUSED]
    failed = Counter(request.outcome for request in requests if request.outcome not in REFUSED | {OK})
    in_time = sum(took_s <= deadline_s for took_s in answers)
    return Tally(
        len(requests),
        in_time,
        len(answers) - in_time,
        len(refusals),
        dict(failed),
        percentile(answers, 0.5),
        percentile(answers, 0.99),
        percentile(refusals, 0.99),
    )


@dataclass(frozen=True)
class Health:
    """What the client itself did in a step."""

    due: float
    """Requests that were to be sent, in the mean."""
    sent: int
    late_p99_s: float
    """How long after its time a request was sent, of 99 in 100."""
    loop_p99_s: float
    """How late its event loop woke, which answers' latencies include."""
    cores: float
    """Its share of a core."""
    other_cores: float
    """What other programs and other guests of the host used meanwhile."""
    waited: int = 0
    """Requests that waited in the client for a connection, as all that it may have were in use."""

    def lags(self, deadline_s: float) -> bool:
        """Whether it could not do what it was to do, so that the step is not counted."""
        slow = max(self.late_p99_s, self.loop_p99_s) > LAGS * deadline_s
        by_chance = 3 * math.sqrt(self.due)  # so far from its mean is a Poisson process, once in a thousand steps
        slow = slow or self.waited > WAITED * self.sent
        return slow or self.cores > FULL_CORE or self.sent < SENT * self.due - by_chance


@dataclass(frozen=True)
class Point:
    """A step at so many times the capacity."""

    times: float
    rate: float
    """Requests a second that were due."""
    seconds: float
    load: Tally
    after: list[float]
    """The share answered in time of what was sent in each second after it, at a load below the capacity."""
    health: Health
    server_s: float
    """Processor seconds of the server."""

    @property
    def goodput(self) -> float:
        """Answers in time per second."""
        return self.load.in_time / self.seconds


@dataclass
class Curve:
    """A model under all loads."""

    model: str
    deadline_s: float
    capacity: float
    """Answers a second to a closed loop of a few callers."""
    answer_s: float
    """Processor seconds of the server for each of these."""
    call_s: float
    """Seconds from a request to its answer when there is no other."""
    points: list[Point] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """The most answers in time per second."""
        return max([self.capacity, *(point.goodput for point in self.counted)])

    @property
    def counted(self) -> list[Point]:
        """The points at which the client kept up."""
        return [point for point in self.points if not point.health.lags(self.deadline_s)]

    def refusal_s(self, point: Point) -> float | None:
        """Processor seconds of the server for a refusal at a point: what it used beyond its answers. None without any."""
        answers_s = self.answer_s * (point.load.in_time + point.load.late)
        return max(0.0, point.server_s - answers_s) / point.load.refused if point.load.refused else None

    def bound(self, point: Point, refusal_s: float) -> float:
        """The most of the capacity that one core can use: 1 − (x − 1)·C·r, from 0 to 1."""
        return min(1.0, max(0.0, 1 - (point.times - 1) * self.capacity * refusal_s))


@dataclass(frozen=True)
class Pair:
    """A stream that asks for its share and one that asks for many times that, alone and together."""

    kind: str
    """models or callers."""
    hot: str
    other: str
    times: float
    """What the hot one asks for over its share, or over the other's rate."""
    hot_rate: float
    other_rate: float
    deadline_s: float
    """Of the other."""
    hot_call_s: float
    """How long a call of the hot one's model takes."""
    alone: Tally
    beside: Tally
    hot_load: Tally
    health: Health

    @property
    def allowed_s(self) -> float | None:
        """What the other's p99 beside the hot one may be; None where it got no answer alone."""
        return None if self.alone.p99_s is None else BESIDE * self.alone.p99_s + self.hot_call_s

    @property
    def kept(self) -> bool:
        """Whether the other got what is asked for: of models by its p99, of callers by the share in time."""
        if self.kind == "callers":
            return self.beside.share >= KEPT
        return self.allowed_s is not None and self.beside.p99_s is not None and self.beside.p99_s <= self.allowed_s


@dataclass
class Overload:
    """A run."""

    started: str
    """ISO 8601, UTC, whole minutes."""
    seconds: float
    environment: Environment
    pinned: bool
    """Whether client and server had cores of their own."""
    curves: list[Curve] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)

    @property
    def refusal_s(self) -> float | None:
        """`Curve.refusal_s` where the server refused most; None where it never did."""
        refusing = [(curve, point) for curve in self.curves for point in curve.points if point.load.refused]
        if not refusing:
            return None
        curve, most = max(refusing, key=lambda one: one[1].load.refused)
        return curve.refusal_s(most)


def write(found: Overload, file: Path) -> None:
    """Whole or not at all."""
    aside = file.with_name(f".{file.name}")
    aside.write_text(json.dumps(asdict(found), indent=1, ensure_ascii=False) + "\n")
    aside.replace(file)


def read(file: Path) -> Overload:
    """What `write` wrote."""
    found: dict[str, Any] = json.loads(file.read_text())
    environment = found.pop("environment")
    interpreter = Interpreter(**environment.pop("interpreter"))
    curves = [
        Curve(**{**curve, "points": [_point(point) for point in curve["points"]]}) for curve in found.pop("curves")
    ]
    pairs = [
        Pair(
            **{
                **pair,
                **{name: Tally(**pair[name]) for name in ("alone", "beside", "hot_load")},
                "health": Health(**pair["health"]),
            }
        )
        for pair in found.pop("pairs")
    ]
    return Overload(
        **found, environment=Environment(**environment, interpreter=interpreter), curves=curves, pairs=pairs
    )


def _point(found: dict[str, Any]) -> Point:
    return Point(**{**found, "load": Tally(**found["load"]), "health": Health(**found["health"])})
