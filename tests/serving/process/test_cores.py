import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.errors import UsageError
from signet.serving.process import cores


@given(st.integers(0, 1 << 40), st.integers(1, 256))
def test_shares_are_the_whole_and_as_even_as_can_be(whole, processes):
    shares = [cores.share(whole, processes, place) for place in range(processes)]
    assert sum(shares) == whole
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize(
    ("first", "second", "quota"),
    [
        ("250000 100000", None, 2.5),
        ("50000 100000", None, 1.0),
        ("max 100000", None, float("inf")),
        ("400000", "100000", 4.0),
        ("-1", "100000", float("inf")),
        ("nonsense", None, float("inf")),
    ],
)
def test_the_quota_of_a_container_is_read(tmp_path, first, second, quota):
    (tmp_path / "first").write_text(first)
    if second:
        (tmp_path / "second").write_text(second)
    files = (tmp_path / "first", tmp_path / "second" if second else None)
    assert cores.quota(((tmp_path / "none", None), files)) == quota


def test_auto_is_what_the_affinity_leaves():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert cores.processes("auto") == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= cores.processes("auto") <= len(allowed)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "10000", "257", "", "two", "٣"])
def test_a_bad_number_of_processes_is_named(text):
    with pytest.raises(UsageError, match=f"processes is '{text}'; expected a number from 1 to 256, or auto"):
        cores.processes(text)


def test_each_process_has_a_thread_at_least():
    assert cores.threads(256) == 1
