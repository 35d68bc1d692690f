"""How far apart two versions' answers are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.releases.gate import answers
from signet.serving.releases.gate.answers import CLASSES, NUMBERS, VALUES, Paired
from tests.serving.gateway.request_log.made import spec


def paired(stable, candidate, dtype="float", labelled=False):
    made = Paired(spec("y", dtype, (None, *np.shape(stable)[1:])), True, labelled)
    made.add(np.asarray(stable), np.asarray(candidate))
    return made


CHANCES = np.random.default_rng(0).dirichlet([1, 1, 1], 100).astype(np.float32)


@pytest.mark.parametrize(
    ("stable", "dtype", "labelled", "kind"),
    [
        (CHANCES, "float", False, CLASSES),
        (CHANCES * 3, "float", False, NUMBERS),
        (CHANCES * 3, "float", True, CLASSES),
        (CHANCES[:, :1], "float", False, NUMBERS),
        (CHANCES.argmax(axis=1), "int64", False, VALUES),
        (np.arange(100), "int64", False, NUMBERS),
        (np.array([b"a", b"b"], object), "string", False, VALUES),
        (np.array([True, False]), "bool", False, VALUES),
    ],
)
def test_kinds_of_outputs(stable, dtype, labelled, kind):
    assert paired(stable, stable, dtype, labelled).kind == kind


def test_changed_classes_and_their_doubt():
    turned = np.roll(CHANCES, 1, axis=1)
    assert answers.changed(paired(CHANCES, turned)).mean() == 1
    assert answers.changed(paired(CHANCES, CHANCES * 0.5)).mean() == 0
    assert answers.doubt(paired(CHANCES, turned)) == pytest.approx(1 - CHANCES.max(axis=1).mean())
    words = np.array([b"a", b"b", b"c", b"a"], object)
    assert answers.changed(paired(words, np.array([b"a", b"b", b"c", b"c"], object), "string")).mean() == 0.25


def test_a_difference_of_one_is_that_of_the_average():
    stable = np.random.default_rng(0).normal(5, 2, (1000, 1)).astype(np.float32)
    average = np.full_like(stable, stable.mean())
    assert answers.distances([(stable, average)]).ratio == pytest.approx(1, abs=1e-3)
    assert answers.distances([(stable, stable)]).ratio == 0
    unrelated = np.random.default_rng(1).permutation(stable)
    assert answers.distances([(stable, unrelated)]).ratio > 1.3


def test_rows_that_are_not_finite_on_either_side_are_left_out():
    stable, candidate = np.array([[1.0], [np.nan], [3.0]]), np.array([[2.0], [1.0], [np.inf]])
    found = answers.distances([(stable, candidate)])
    assert (found.apart.tolist(), found.most) == ([1.0], 1.0)
    assert answers.finite(stable).tolist() == [True, False, True]


@given(st.integers(4, 60), st.floats(0, 1))
def test_a_bound_lies_below_what_was_seen_and_few_rows_prove_little(rows, share):
    values = (np.arange(rows) < share * rows).astype(float)
    assert answers.share_at_least(values) <= values.mean() + 1e-12
    assert answers.share_at_least(np.ones(2)) < 0.25 < answers.share_at_least(np.ones(4))


def test_a_share_at_its_bound_is_refused_once_in_a_thousand():
    chance = np.random.default_rng(3)
    above = sum(answers.share_at_least(chance.random(200) < 0.25) > 0.25 for _ in range(4000))
    assert above <= 16  # 4 are expected, and 16 come by chance once in 10^5 runs


def test_how_often_each_class_comes_is_compared_and_how_sure_they_are_is_not():
    sure = CHANCES**8 / (CHANCES**8).sum(axis=1, keepdims=True)
    assert answers.indices(paired(CHANCES, sure)).keys() == {"output.y.argmax"}
    assert answers.indices(paired(CHANCES, sure))["output.y.argmax"][0] == 0
    one = np.zeros_like(CHANCES)
    one[:, 0] = 1
    psi, by_chance = answers.indices(paired(CHANCES, one))["output.y.argmax"]
    assert psi > max(0.25, by_chance)


def test_numbers_that_repeat_are_not_compared_by_bins():
    table = np.repeat(np.array([[0.1], [0.2], [0.3], [0.4]], np.float32), 50, axis=0)
    assert answers.indices(paired(table, table + 1e-4)) == {}
    assert answers.indices(paired(table[:10], table[:10])) == {}
