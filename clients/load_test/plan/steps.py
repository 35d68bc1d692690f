"""The steps of a load test, one after the other: an open loop at a rate or over a ramp, or a closed loop of callers.

"100,100..400,400" ──open_steps──▶ 100 a second, a ramp from 100 to 400, 400 a second
"4,16"             ──closed_steps──▶ 4 in flight, 16 in flight
"""

import math
import re
from dataclasses import dataclass

from signet.serving.errors import UsageError

MAX_RATE = 1e6


@dataclass(frozen=True)
class Step:
    """A part of a run under one kind of load. In an open loop the rate goes evenly from one value to the other.

    An open loop starts requests when they are due, whether or not earlier ones are answered; a closed loop waits for them.
    """

    seconds: float
    from_rate: float = 0.0
    """Requests per second at the beginning of the step."""
    to_rate: float = 0.0
    in_flight: int = 0
    """The callers of a closed loop, each of which asks again as soon as it is answered. 0: an open loop."""

    @property
    def planned(self) -> float:
        """Requests that an open loop starts, in the mean."""
        return self.seconds * (self.from_rate + self.to_rate) / 2

    @property
    def rate(self) -> float | None:
        """Requests per second that an open loop offers, in the mean; a closed loop offers none of its own."""
        return None if self.in_flight else self.planned / self.seconds

    def __str__(self) -> str:
        if self.in_flight:
            return f"{self.in_flight} in flight"
        if self.from_rate == self.to_rate:
            return f"{self.from_rate:,.6g}/s"
        return f"{self.from_rate:,.6g} to {self.to_rate:,.6g}/s"


def open_steps(text: str, seconds: float) -> list[Step]:
    """The steps of --rate: rates and ramps FROM..TO, in requests per second, separated by commas."""
    steps = []
    for part in text.split(","):
        first, _, last = part.strip().partition("..")
        from_rate = _rate(first, text)
        steps.append(Step(seconds, from_rate, _rate(last, text) if ".." in part else from_rate))
    if not all(step.planned > 0 for step in steps):
        raise UsageError(f"--rate {text}: a step without requests; expected rates above 0")
    return steps


def closed_steps(text: str, seconds: float) -> list[Step]:
    """The steps of --closed: numbers of requests in flight, separated by commas."""
    if not re.fullmatch(r"\s*[1-9]\d{0,4}\s*(,\s*[1-9]\d{0,4}\s*)*", text):
        raise UsageError(f"--closed {text}: expected how many requests are in flight, such as 16 or 4,16,64")
    return [Step(seconds, in_flight=int(part)) for part in text.split(",")]


def _rate(part: str, text: str) -> float:
    try:
        rate = float(part)
    except ValueError:
        rate = math.nan
    if not 0 <= rate <= MAX_RATE:
        raise UsageError(
            f"--rate {text}: {part!r} is no rate; expected requests per second, such as 200, a ramp 50..500, "
            "or several of them separated by commas"
        )
    return rate
