"""Results made of numbers, for tests that need no server."""

import numpy as np

from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run.recording import Slice, new_histogram
from signet.clients.load_test.run.result import ClientHealth, ModelUnderTest, Result
from signet.clients.load_test.run.target import OK

CLIENT = ClientHealth(0.0001, 0.0004, 0.002, 0.0003, 0.001, 0.25, 0, False, ())


def slice_of(step: int, second: int, latencies_s: list[float], failed: int = 0, model: int = 0) -> Slice:
    """One second of one model."""
    histogram = new_histogram()
    for latency_s in latencies_s:
        histogram.record_value(round(latency_s * 1e6))
    outcomes = {OK: len(latencies_s)} | ({"429": failed} if failed else {})
    return Slice(step, second, model, outcomes, len(latencies_s), histogram.encode().decode() if latencies_s else "")


def run(median_s: float, *, seconds: int = 20, failed: int = 0, seed: int = 0, rate: int = 100) -> Result:
    """A run of one step whose latencies scatter around the median."""
    chance = np.random.default_rng(seed)
    parts = [
        slice_of(0, second, list(median_s * chance.lognormal(0, 0.3, rate - failed)), failed)
        for second in range(seconds)
    ]
    return Result(
        url="http://localhost:8080",
        protocol="v1",
        arrivals="poisson",
        started="2026-01-01T00:00:00+00:00",
        seed=0,
        models=[ModelUnderTest("digits", 1, 1.0, 1, "golden", 300)],
        steps=[Step(seconds, rate, rate)],
        slices=parts,
        client=CLIENT,
        said={"429": "the queue is <full>"} if failed else {},
    )
