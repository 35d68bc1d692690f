"""Latencies and outcomes as they come, by the second in which each request was to start.

    request starts ──interval──▶ Interval ◀──record── its answer       all answered and the second over ──▶ Slices

HdrHistograms of microseconds with three digits, one for each model and second, encoded when the second is complete: an
hour at any rate takes some megabytes, and any two seconds, runs or machines can be added up without loss.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

from signet.clients.load_test.run.target import OK

LONGEST_S = 3600
DIGITS = 3
WARM_UP = -1
"""The step of the warm-up, whose requests are not counted."""
_SAID_CHARACTERS = 200


@dataclass(frozen=True)
class Slice:
    """The requests of one model that were to start in one second of a step."""

    step: int
    second: int
    """Seconds since the step's beginning, whole ones."""
    model: int
    """The model's place in the mix."""
    outcomes: dict[str, int]
    """How many of these requests had each outcome, whenever they were answered."""
    answered: int
    """Good answers that came in this second, to these requests or to earlier ones."""
    histogram: str
    """Latencies of the good answers: an HdrHistogram in its base64 form, µs; empty when there are none."""


def new_histogram() -> HdrHistogram:
    """An empty histogram of latencies from 1 µs to an hour."""
    return HdrHistogram(1, LONGEST_S * 1_000_000, DIGITS)


class Interval:
    """The requests of one second of a step, until they are all answered."""

    __slots__ = ("_recorder", "answered", "histograms", "outcomes", "over", "pending", "second", "started", "step")

    def __init__(self, recorder: "Recorder", step: int, second: int) -> None:
        self._recorder = recorder
        self.step, self.second = step, second
        self.answered = [0] * recorder.models
        self.started = [0] * recorder.models
        self.pending = 0
        self.over = False
        """No more requests start in it."""
        self.outcomes: list[Counter[str]] = [Counter() for _ in range(recorder.models)]
        self.histograms: list[HdrHistogram | None] = [None] * recorder.models

    def start(self, model: int) -> None:
        """Count a request of this second that starts."""
        self.started[model] += 1
        self.pending += 1

    def record(self, model: int, outcome: str, said: str, latency_s: float) -> None:
        """Take in the outcome of a request of this second."""
        self.pending -= 1
        self.outcomes[model][outcome] += 1
        if outcome == OK:
            self._recorder.answered(model)
            histogram = self.histograms[model]
            if histogram is None:
                histogram = self.histograms[model] = new_histogram()
            histogram.record_value(max(1, round(latency_s * 1e6)))
        elif outcome not in self._recorder.said:
            self._recorder.said[outcome] = said[:_SAID_CHARACTERS]
        if self.over and not self.pending:
            self._recorder.close(self)


class Recorder:
    """What a run has measured so far. The event loop alone reads and writes it."""

    def __init__(self, models: int) -> None:
        """models: how many there are in the mix."""
        self.models = models
        self.said: dict[str, str] = {}
        """What the server said the first time, by outcome."""
        self.late: dict[int, HdrHistogram] = {}
        """How long after its time each request of an open loop was sent, in µs, by step."""
        self.lag: dict[int, HdrHistogram] = {}
        """How long the event loop took to wake up, in µs, by step."""
        self.slices: list[Slice] = []
        self.totals: Counter[str] = Counter()
        """Outcomes of complete seconds."""
        self.latest: Interval | None = None
        """The last complete second."""
        self._open: dict[tuple[int, int], Interval] = {}
        self._current: Interval | None = None
        self._drained = asyncio.Event()

    @property
    def pending(self) -> int:
        """Requests in flight."""
        return sum(interval.pending for interval in self._open.values())

    def interval(self, step: int, second: int) -> Interval:
        """The interval of a request that is to start now. Seconds come in order."""
        current = self._current
        if current is None or current.second != second or current.step != step:
            self._end(current)
            current = self._current = self._open[step, second] = Interval(self, step, second)
        return current

    def answered(self, model: int) -> None:
        """Count a good answer by the second in which it came."""
        if self._current:
            self._current.answered[model] += 1

    async def drain(self) -> None:
        """Wait until nothing is in flight; no more requests are started meanwhile."""
        self._end(self._current)
        self._current = None
        if self._open:
            self._drained.clear()
            await self._drained.wait()

    def give_up(self, outcome: str) -> None:
        """Give what is still in flight that outcome."""
        for interval in list(self._open.values()):
            for outcomes, started in zip(interval.outcomes, interval.started, strict=True):
                if missing := started - outcomes.total():
                    outcomes[outcome] += missing
            self.close(interval)

    def close(self, interval: Interval) -> None:
        """Keep what is to be kept of a complete second."""
        del self._open[interval.step, interval.second]
        if not self._open:
            self._drained.set()
        self.latest = interval
        if interval.step == WARM_UP:
            return
        for model in range(self.models):
            outcomes, histogram = interval.outcomes[model], interval.histograms[model]
            if outcomes or interval.answered[model]:
                encoded = histogram.encode().decode() if histogram else ""
                part = Slice(interval.step, interval.second, model, dict(outcomes), interval.answered[model], encoded)
                self.slices.append(part)
                self.totals.update(outcomes)

    def record_late(self, step: int, seconds: float) -> None:
        """Take in how long after its time a request was sent."""
        _record(self.late, step, seconds)

    def record_lag(self, step: int, seconds: float) -> None:
        """Take in how late the event loop woke."""
        _record(self.lag, step, seconds)

    def _end(self, interval: Interval | None) -> None:
        if interval:
            interval.over = True
            if not interval.pending:
                self.close(interval)


def _record(histograms: dict[int, HdrHistogram], step: int, seconds: float) -> None:
    if step not in histograms:
        histograms[step] = new_histogram()
    histograms[step].record_value(max(1, round(seconds * 1e6)))
