"""A flood of failures costs a few lines and one that says how many more there were; none is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.access_log.floods import Floods, Kind


def test_ten_thousand_refusals_a_second_are_ten_lines_and_a_sum():
    floods = Floods()
    lines = sum(floods.has_line("v1", "m", "RESOURCE_EXHAUSTED", 100 + n / 10_000) for n in range(10_000))
    assert lines == 10
    assert floods.waiting
    assert list(floods.sums()) == [(Kind("v1", "m", "RESOURCE_EXHAUSTED"), 9_990)]
    assert not floods.waiting
    assert list(floods.sums()) == []


def test_a_failure_of_another_kind_or_later_has_a_line():
    floods = Floods()
    for _ in range(1000):
        floods.has_line("v1", "m", "INVALID_ARGUMENT", 100.0)
    assert floods.has_line("v1", "m", "NOT_FOUND", 100.0)
    assert floods.has_line("v2", "m", "INVALID_ARGUMENT", 100.0)
    assert not floods.has_line("v1", "m", "INVALID_ARGUMENT", 100.9)
    assert floods.has_line("v1", "m", "INVALID_ARGUMENT", 101.0)
    assert list(floods.sums()) == [(Kind("v1", "m", "INVALID_ARGUMENT"), 901)]


failures = st.tuples(
    st.sampled_from(["v1", "grpc_v1"]),
    st.sampled_from(["m", "n"]),
    st.sampled_from(["INTERNAL", "UNAVAILABLE"]),
    st.floats(0, 3),
)


@given(st.lists(st.one_of(failures, st.just("sum up")), max_size=200))
def test_each_failure_is_a_line_or_in_a_sum(events):
    floods = Floods()
    now, lines, summed, failed = 0.0, 0, 0, 0
    for event in events:
        if event == "sum up":
            summed += sum(more for _, more in floods.sums())
            continue
        now += event[3] / 100
        failed += 1
        lines += floods.has_line(*event[:3], now)
    assert lines + summed + sum(more for _, more in floods.sums()) == failed


def test_kinds_are_bounded():
    floods = Floods()
    for n in range(5000):
        floods.has_line("v1", f"model-{n}", "INTERNAL", float(n))
    assert len(floods._floods) <= 1024
