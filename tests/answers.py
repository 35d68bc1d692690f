"""Compares answers of one model to the same rows sent in other company."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

RELATIVE, ABSOLUTE = 1e-5, 1e-6
"""Beside other rows, or on another processor, a sum is taken in another order. Its error is a few units in the last place of
its terms, which are about 1 in the golden models, however small the sum itself is where they cancel out."""


def assert_close(got: ArrayLike, expected: ArrayLike) -> None:
    """Equal but for the order in which floats were summed."""
    np.testing.assert_allclose(got, expected, rtol=RELATIVE, atol=ABSOLUTE)


def assert_all_close(got: Mapping[str, ArrayLike], expected: Mapping[str, ArrayLike]) -> None:
    """The same outputs, each `assert_close`."""
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert_close(got[name], array)
