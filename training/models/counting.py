"""A baseline for texts: how often each word and each ordered pair of words occurs, and linear models on these counts.

    features = learn(numbers, classes) ─▶ counts(numbers, features) (rows, words + pairs), sparse
        ─▶ ridge ─▶ a number        ─▶ logistic regression ─▶ a class

A pair is a word and one of the next REACH: "tea first and coffee" holds (tea, coffee).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from signet.training.model import Array
from signet.training.models.vocabulary import FIRST

REACH = 3
"""How many words after a word may be the other half of a pair."""
COMMON = 200
"""Pairs are counted that occur in one text of so many, or more often."""

RIDGE = 300.0
"""How strongly weights of the ridge regression are held back: the best power of ten or half of one, on generated people."""


@dataclass(frozen=True)
class Features:
    """The words and pairs of words that are counted."""

    words: int
    """Size of the vocabulary: all numbers below are words."""
    pairs: Array
    """Codes of the pairs that are counted, in ascending order."""


def learn(numbers: Array, words: int) -> Features:
    """The words, and the pairs that are common enough in `numbers` (rows, longest) int32."""
    rows, codes = _pairs(numbers, words)
    found, count = np.unique(np.unique(rows * words**2 + codes) % words**2, return_counts=True)
    return Features(words, found[count > len(numbers) // COMMON])


def counts(numbers: Array, features: Features) -> Any:
    """How often each word and pair occurs in each text: (rows, words + pairs) float32, a sparse matrix."""
    from scipy.sparse import csr_matrix

    row, place = np.nonzero(numbers >= FIRST)
    pair_row, codes = _pairs(numbers, features.words)
    at = np.searchsorted(features.pairs, codes).clip(max=len(features.pairs) - 1)
    known = features.pairs[at] == codes
    columns = np.concatenate([numbers[row, place], features.words + at[known]])
    rows = np.concatenate([row, pair_row[known]])
    shape = (len(numbers), features.words + len(features.pairs))
    return csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape)


def _pairs(numbers: Array, words: int) -> tuple[Array, Array]:
    """The row and the code of each pair that occurs."""
    rows, codes = [], []
    for step in range(1, REACH + 1):
        first, second = numbers[:, :-step].astype(np.int64), numbers[:, step:]
        row, place = np.nonzero((first >= FIRST) & (second >= FIRST))
        rows.append(row)
        codes.append(first[row, place] * words + second[row, place])
    return np.concatenate(rows), np.concatenate(codes)


def number(learnt: Any, targets: Array, judged: Any) -> Array:
    """Ridge regression: what it makes of the rows of `judged`."""
    from sklearn.linear_model import Ridge

    result: Array = Ridge(alpha=RIDGE, solver="lsqr").fit(learnt, targets).predict(judged)
    return result


def classes(learnt: Any, targets: Array, judged: Any, freedom: float) -> Array:
    """Logistic regression: the likeliest class of each row of `judged`. `freedom`: scikit-learn's C."""
    from sklearn.linear_model import LogisticRegression

    # Newton's steps: a dozen where lbfgs takes hundreds, for the same weights in a tenth of the time.
    regression = LogisticRegression(C=freedom, max_iter=1_000, solver="newton-cg")
    result: Array = regression.fit(learnt, targets).predict(judged)
    return result
