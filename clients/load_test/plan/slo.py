"""What a service promises, as limits: "p99=50ms,errors=0.1%" ──parse──▶ limits ──judge──▶ kept or not, by how much.

A failed request counts as one that was never answered: p99=50ms says that 99 of 100 requests, the failed ones among
them, were answered well within 50 ms. Shedding load does not make a percentile better.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from signet.serving.errors import UsageError

EXPECTED = (
    "p50, p99, p99.9 … or max in ms or s, errors in %, goodput in requests per second; such as p99=50ms,errors=0.1%"
)
_PER_SECOND = {"us": 1e6, "µs": 1e6, "ms": 1e3, "s": 1.0}


@dataclass(frozen=True)
class Limit:
    """One promise."""

    text: str
    percentile: float | None = None
    """Percentile of the latency, 0 to 100; None: the limit is on errors or goodput."""
    seconds: float = math.inf
    errors: float | None = None
    """The highest share of failed requests, 0 to 1; None: the limit is on something else."""
    goodput: float | None = None
    """The fewest good answers per second; None: the limit is on something else."""


@dataclass(frozen=True)
class Verdict:
    """Whether a limit was kept."""

    limit: str
    measured: str
    kept: bool


@dataclass(frozen=True)
class Measured:
    """The figures that a limit is held against."""

    latency_s: Callable[[float], float]
    """The latency below which that percentile of all requests was answered well; infinite when too many failed."""
    errors: float
    goodput: float


def parse(text: str) -> list[Limit]:
    """The limits of --slo. Raises `UsageError`."""
    return [_limit(part.strip()) for part in text.split(",")] if text.strip() else []


def judge(limits: list[Limit], measured: Measured) -> list[Verdict]:
    """A verdict for each limit."""
    return [_judge(limit, measured) for limit in limits]


def seconds_text(seconds: float) -> str:
    """A time as people read it: 1.23 ms, 2.05 s; `never` when it is infinite."""
    if math.isinf(seconds):
        return "never"
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _limit(part: str) -> Limit:
    if match := re.fullmatch(r"(?:p(\d{1,2}(?:\.\d+)?|100)|(max))=(\d+(?:\.\d+)?)\s*(us|µs|ms|s)", part):
        percentile = 100.0 if match[2] else float(match[1])
        return Limit(part, percentile=percentile, seconds=float(match[3]) / _PER_SECOND[match[4]])
    if match := re.fullmatch(r"errors=(\d+(?:\.\d+)?)\s*%", part):
        return Limit(part, errors=float(match[1]) / 100)
    if match := re.fullmatch(r"goodput=(\d+(?:\.\d+)?)(?:/s)?", part):
        return Limit(part, goodput=float(match[1]))
    raise UsageError(f"--slo: {part!r} is no limit; expected {EXPECTED}")


def _judge(limit: Limit, measured: Measured) -> Verdict:
    if limit.percentile is not None:
        latency_s = measured.latency_s(limit.percentile)
        return Verdict(limit.text, seconds_text(latency_s), latency_s <= limit.seconds)
    if limit.errors is not None:
        return Verdict(limit.text, f"{measured.errors:.3%}", measured.errors <= limit.errors)
    assert limit.goodput is not None, "a limit is on one of the three"
    return Verdict(limit.text, f"{measured.goodput:,.1f}/s", measured.goodput >= limit.goodput)
