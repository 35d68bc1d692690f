"""When a load test says that it was itself what it measured."""

import math

import pytest

from signet.clients.load_test.run.client_limits import assess
from signet.clients.load_test.run.recording import new_histogram


def histogram(seconds: float, count: int = 100) -> list[object]:
    made = new_histogram()
    made.record_value(max(1, round(seconds * 1e6)), count)
    return [made]


@pytest.mark.parametrize(
    ("late_s", "lag_s", "cpu_share", "waited", "p99_s", "said"),
    [
        (0.0001, 0.0001, 0.5, 0, 0.001, []),
        (0.003, 0.0001, 0.5, 0, 0.01, ["requests were sent late: 1 in 100 by more than 3 ms"]),
        (0.003, 0.003, 0.5, 0, 0.01, ["requests were sent late: 1 in 100 by more than 3 ms"]),
        (0.0001, 0.003, 0.5, 0, 0.01, ["it looked late at answers: 1 in 100 times by more than 3 ms"]),
        (0.003, 0.003, 0.5, 0, 0.1, []),  # small beside the latency
        (0.003, 0.0001, 0.5, 0, math.nan, ["requests were sent late"]),
        (0.0001, 0.0001, 0.97, 0, 0.001, ["this process used 97% of a core"]),
        (0.0001, 0.0001, 0.5, 20, 0.001, ["20 requests waited for a connection; allow more --connections"]),
        (0.0001, 0.0001, 0.5, 5, 0.001, []),
    ],
)
def test_what_a_client_adds_is_said(late_s, lag_s, cpu_share, waited, p99_s, said):
    client = assess(
        histogram(late_s), histogram(lag_s), cpu_share=cpu_share, waited=waited, requests=10_000, p99_s=p99_s
    )
    assert len(client.limits) == len(said)
    for limit, beginning in zip(client.limits, said, strict=True):
        assert limit.startswith(beginning)
    assert client.overworked == any("connection" not in limit for limit in client.limits)


def test_a_run_without_sends_has_no_late_ones():
    client = assess([], [], cpu_share=0.1, waited=0, requests=0, p99_s=math.nan)
    assert (client.late_max_s, client.lag_max_s, client.limits) == (0.0, 0.0, ())
