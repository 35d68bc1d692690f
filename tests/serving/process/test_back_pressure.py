"""Back-pressure: refusing is held to a share of the loop, whatever it costs, and pauses end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.process.back_pressure import LEAST_S, MOST_S, SHARE, BackPressure, next_pause_s


@given(before_s=st.just(0.0) | st.floats(LEAST_S, MOST_S), share=st.floats(0, 10))
def test_a_pause_is_bounded_and_grows_only_while_refusing_takes_too_much(before_s, share):
    after_s = next_pause_s(before_s, share)
    assert after_s == 0 or LEAST_S <= after_s <= MOST_S
    assert after_s >= min(before_s, MOST_S) if share > SHARE else after_s <= before_s


def test_pauses_shrink_to_nothing():
    pause_s, windows = MOST_S, 0
    while pause_s:
        pause_s, windows = next_pause_s(pause_s, 0.0), windows + 1
    assert windows < 25


@pytest.mark.parametrize("connections", [1, 4, 64])
def test_refusing_comes_to_a_fifth_of_the_time_however_fast_callers_ask_again(connections):
    """Callers who come back as soon as they are read; each refusal takes 20 µs as seen, and as much in the kernel."""
    now = 0.0
    pressure = BackPressure(lambda: now)
    due = [0.0] * connections
    refused = []
    for _ in range(40_000):
        first = min(range(connections), key=due.__getitem__)
        now = max(now, due[first]) + 40e-6
        due[first] = now + pressure.refused(20e-6)
        refused.append(now)
    half = len(refused) // 2
    share = 40e-6 * half / (refused[-1] - refused[half])
    assert SHARE / 2 < share < 2 * SHARE


def test_few_refusals_hold_nobody_up():
    now = 0.0
    pressure = BackPressure(lambda: now)
    for _ in range(1000):
        now += 0.001
        assert pressure.refused(20e-6) == 0.0
