"""Differences of two answers, by output."""

import numpy as np
import pytest

from signet.serving.gateway.releases.comparison import Difference, compare

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("stable", "candidate", "difference"),
    [
        ([[0.1, 0.9]], [[0.1, 0.9]], Difference()),
        ([[0.25, 1.0]], [[0.5, 1.0]], Difference(absolute=0.25, relative=0.25)),
        ([[0.0, 2.0]], [[2.0, 0.0]], Difference(absolute=2.0, relative=1.0, argmax=True)),
        ([1.0, 2.0], [1.0, 4.0], Difference(absolute=2.0, relative=1.0)),
        ([0.0], [0.0], Difference()),
        ([NAN, 1.0], [NAN, 1.0], Difference()),
        ([1.0, 1.0], [NAN, 1.0], Difference(True, INF, INF)),
        ([INF, 2.0], [INF, 1.0], Difference(absolute=1.0, relative=0.5)),
        ([1.0, 2.0], [INF, 2.0], Difference(absolute=INF, relative=INF)),
        ([[1.0]], [1.0], Difference(True, INF, INF)),
        ([1.0], [b"a"], Difference(True, INF, INF)),
        ([b"a", b"b"], [b"a", b"c"], Difference(absolute=1.0, relative=1.0)),
        ([b"a", b"b"], [b"a", b"b"], Difference()),
        ([], [], Difference()),
        ([True, False], [True, True], Difference(absolute=1.0, relative=1.0)),
        ([1j], [2j], Difference(absolute=1.0, relative=1.0)),
        ([2**62], [2**62 + 2**40], Difference(absolute=2.0**40, relative=2.0**-22)),
    ],
)
def test_what_differs(stable, candidate, difference):
    one, other = (
        np.array(values, object if values and isinstance(values[0], bytes) else None) for values in (stable, candidate)
    )
    assert compare({"y": one}, {"y": other}) == {"y": difference}


def test_an_output_that_is_missing_differs_and_one_more_does_not():
    found = compare({"y": np.zeros(2)}, {"z": np.zeros(2)})
    assert set(found) == {"y"}
    assert found["y"].missing
    assert found["y"].beyond(1e9)
    assert not Difference(relative=0.1).beyond(0.1)
