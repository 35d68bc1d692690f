"""Distributions: what is counted, in how few numbers, and how far apart two are, against SciPy and written-out sums."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signet.serving.models import distribution
from signet.serving.models.distribution import Column, describe, ks, psi, psi_by_chance
from signet.serving.tensors.dtypes import ROWS
from signet.serving.tensors.signature import Signature, TensorSpec

BY_NAME = {row.name: row for row in ROWS}


def a_signature(inputs, outputs=()):
    made = [
        {name: TensorSpec(name, BY_NAME[dtype], shape, "") for name, (dtype, shape) in dict(tensors).items()}
        for tensors in (inputs, outputs)
    ]
    return Signature("s", *made)


def texts(*values):
    out = np.empty(len(values), object)
    out[:] = [value.encode() for value in values]
    return out


FLOATS = st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=60)


@settings(deadline=None)
@given(reference=FLOATS, later=FLOATS)
def test_every_value_is_counted_once_and_survives_a_card(reference, later):
    column = describe(np.array(reference))
    assert sum(column.counts) == len(reference)
    again = distribution.of_json(json.loads(json.dumps(column.to_json())))
    assert again.count(np.array(reference)).tolist() == list(column.counts)
    counts = again.count(np.array(later))
    assert counts.sum() == len(later)
    if column.edges is not None:
        assert counts[-1] == np.isnan(later).sum()


@settings(deadline=None)
@given(FLOATS, FLOATS)
def test_counts_of_parts_add_up(one, other):
    column = describe(np.array(one))
    both = column.count(np.array(one + other))
    assert (column.count(np.array(one)) + column.count(np.array(other)) == both).all()


@pytest.mark.parametrize("seed", range(3))
def test_ks_is_that_of_scipy_on_the_bins(seed):
    stats = pytest.importorskip("scipy.stats")
    chance = np.random.default_rng(seed)
    reference, later = chance.normal(size=500), chance.normal(0.3, 1.2, 300)
    column = describe(reference)
    expected = np.repeat(np.arange(column.bins), column.counts[:-1])
    found = np.repeat(np.arange(column.bins), column.count(later)[:-1])
    binned = stats.ks_2samp(expected, found).statistic
    assert ks(column.counts[:-1], column.count(later)[:-1]) == pytest.approx(binned)
    assert binned <= stats.ks_2samp(reference, later).statistic + 1e-12  # bins lose some of it


def test_psi_by_hand():
    one, other = [49.5, 49.5], [24.5, 74.5]  # with the half row in each bin: shares of 0.5, 0.5 and 0.25, 0.75
    by_hand = (0.25 - 0.5) * np.log(0.25 / 0.5) + (0.75 - 0.5) * np.log(0.75 / 0.5)
    assert psi(one, other) == pytest.approx(by_hand)


def test_psi_of_empty_bins_is_finite_and_bounded_by_the_rows():
    assert psi([100, 0], [100, 0]) == 0
    assert 0 < psi([1000, 0], [999, 1]) < 0.01
    assert 5 < psi([1000, 0], [0, 1000]) < 20


def test_what_chance_does_to_psi_is_as_rare_as_said():
    chance = np.random.default_rng(0)
    column = describe(chance.normal(size=1000))
    beyond = sum(
        psi(column.counts, column.count(chance.normal(size=300))) > psi_by_chance(column.bins, 1000, 300)
        for _ in range(500)
    )
    assert beyond <= 5


@pytest.mark.parametrize(
    ("later", "share"), [(np.full(1000, 1e9), 1), (np.full(1000, -1e9), 1), (np.full(1000, np.nan), 1)]
)
def test_what_lies_beyond_all_of_the_reference_is_far_apart(later, share):
    column = describe(np.random.default_rng(0).normal(size=1000))
    assert psi(column.counts, column.count(later)) > 5


def test_a_constant_is_seen_to_change():
    column = describe(np.full(100, 2.5))
    assert psi(column.counts, column.count(np.full(100, 2.5))) == 0
    assert psi(column.counts, column.count(np.full(100, 2.6))) > 1
    assert psi(column.counts, column.count(np.full(100, 2.4))) > 1


def test_texts_are_kept_where_they_repeat_and_new_ones_are_others():
    column = describe(np.array(["red"] * 60 + ["blue"] * 39 + ["once"], object))
    assert (column.categories, column.counts) == (("red", "blue"), (60, 39, 1, 0))
    assert column.count(np.array(["blue", "new", None], object)).tolist() == [0, 1, 1, 1]
    assert describe(np.array([f"a secret letter {n}" for n in range(100)], object)) is None


def test_few_whole_numbers_are_categories():
    column = describe(np.array([0.0, 1.0] * 50))
    assert column.categories == ("0", "1")
    assert column.count(np.array([1.0, 7.0, np.nan])).tolist() == [0, 1, 1, 1]


def test_features_by_kind():
    signature = a_signature(
        {
            "age": ("float", (None, 1)),
            "point": ("int32", (None, 3)),
            "pixels": ("uint8", (None, 4, 4)),
            "words": ("int32", (None, None)),
            "text": ("string", (None,)),
            "several": ("string", (None, 2)),
        },
        {"digit": ("float", (None, 10)), "flag": ("bool", (None,))},
    )
    inputs = {
        "age": np.array([[1], [np.nan]], np.float32),
        "point": np.array([[1, 2, 3], [4, 5, 6]], np.int32),
        "pixels": np.stack([np.full((4, 4), 3, np.uint8), np.arange(16, dtype=np.uint8).reshape(4, 4)]),
        "words": np.array([[5, 0, 7, 0, 0], [0, 0, 0, 0, 0]], np.int32),
        "text": texts("abc", "é"),
        "several": texts("a", "bc", "", "def").reshape(2, 2),
    }
    digit = np.zeros((2, 10), np.float32)
    digit[0, 7] = digit[1, 2] = 1
    found = distribution.features(signature, inputs, {"digit": digit, "flag": np.array([True, False])})
    assert found["point[1]"].tolist() == [2, 5]
    assert found["pixels.mean"].tolist() == [3, 7.5]
    assert found["pixels.std"].tolist() == [0, pytest.approx(np.arange(16).std())]
    assert (found["pixels.min"].tolist(), found["pixels.max"].tolist()) == ([3, 0], [3, 15])
    assert found["pixels.norm"][0] == 12
    assert found["words.length"].tolist() == [3, 0]
    assert found["words.mean"][0] == 4
    assert np.isnan(found["words.mean"][1])
    assert np.isnan(found["age"][1])
    assert found["text"].tolist() == ["abc", "é"]
    assert found["text.length"].tolist() == [3, 2]
    assert found["several.length"].tolist() == [3, 3]
    assert found["output.digit.argmax"].tolist() == [7, 2]
    assert found["output.flag"].tolist() == [1, 0]


def test_the_noise_of_the_last_digits_is_none():
    signature = a_signature({}, {"chances": ("float", (None, 20))})
    chances = np.random.default_rng(0).dirichlet(np.ones(20), 400).astype(np.float32)
    found = distribution.features(signature, {}, {"chances": chances})
    assert set(found["output.chances.mean"].tolist()) == {0.05}
    found = distribution.features(
        signature, {}, {"chances": np.full((3, 20), 0.1) + np.random.default_rng(1).normal(0, 1e-9, (3, 20))}
    )
    assert found["output.chances.std"].tolist() == [0, 0, 0]


def test_a_reference_is_small_whatever_it_is_made_of_and_survives_a_card():
    chance = np.random.default_rng(0)
    names = {f"input_{n}": ("float", (None, 8)) for n in range(40)}
    signature = a_signature(names, {"y": ("float", (None, 1000))})
    inputs = {name: chance.normal(size=(500, 8)).astype(np.float32) for name in names}
    made = distribution.reference(signature, inputs, {"y": chance.random((500, 1000))}, 0, "rows")
    text = json.dumps(made.to_json())
    assert len(text) < 20_000
    assert distribution.reference_of_json(json.loads(text)) == made


def test_too_few_rows_make_no_reference():
    signature = a_signature({"x": ("float", (None,))})
    assert distribution.reference(signature, {"x": np.zeros(distribution.LEAST_ROWS - 1, np.float32)}, {}) is None


@pytest.mark.parametrize(
    "content",
    [None, [], {"rows": 1}, {"rows": "x", "columns": {}}, {"rows": 1, "columns": []}],
)
def test_what_is_no_reference_is_none(content):
    assert distribution.reference_of_json(content) is None


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"counts": [1]},
        {"counts": [1, 2], "edges": [0.0]},
        {"counts": [1, 2, 3, 4], "edges": [2.0, 1.0]},
        {"counts": "x"},
    ],
)
def test_what_is_no_column_is_none(content):
    assert distribution.of_json(content) is None


def test_a_column_counts_other_kinds_as_missing():
    column = Column((5, 5, 0), (0.5,))
    assert column.count(np.array(["a", "b"], object)).tolist() == [0, 0, 2]
