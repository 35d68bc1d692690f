"""What strangers have written: whatever it is, what comes of it is small and can be sent."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.gateway.page.bounded import MOST_DEPTH, MOST_VALUES, Bounded

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(st.characters(codec=None, categories=None)),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec=None, categories=None)), inner),
)


@given(ANYTHING)
def test_anything_becomes_strict_json_of_the_type_that_is_expected(value):
    bounded = Bounded()
    assert isinstance(bounded.text("text", value), str)
    assert isinstance(bounded.number("number", value), int | float | None)
    made = [
        bounded.tree("tree", value, 3),
        bounded.text("text", value),
        bounded.number("number", value),
        bounded.items("items", value, 3, lambda one: bounded.text("item", one)),
        bounded.entries("entries", value, 3, lambda one: bounded.number("entry", one)),
        bounded.left_out,
    ]
    assert len(made[3]) <= 3
    assert len(made[4]) <= 3
    json.loads(orjson.dumps(made))


@pytest.mark.parametrize(
    ("value", "made", "why"),
    [
        (1.5, 1.5, ""),
        (None, None, ""),
        (True, None, "no number"),
        ("1", None, "no number"),
        (float("nan"), None, "a number that JSON cannot carry"),
        (10**400, None, "a number that JSON cannot carry"),
    ],
)
def test_numbers_are_kept_or_named(value, made, why):
    bounded = Bounded()
    assert bounded.number("scores", value) == made
    assert bounded.left_out == (f"left out of its card: scores ({why})" if why else "")


def test_what_is_cut_is_named():
    bounded = Bounded()
    assert bounded.text("purpose", "x" * 5_000, 10) == "x" * 10
    assert bounded.items("labels", ["a"] * 1_000_000, 2, str) == ["a", "a"]
    assert bounded.text("unit", "\ud800m") == "?m"
    assert bounded.left_out == (
        "left out of its card: purpose (a text of 5000 characters; 10 are shown), "
        "labels (1000000 entries; the first 2 are shown)"
    )


def test_what_is_nested_deep_ends():
    deep: list = []
    for _ in range(MOST_DEPTH + 5):
        deep = [deep]
    bounded = Bounded()
    assert json.dumps(bounded.tree("training", deep, 5)).count("[") == MOST_DEPTH
    assert "nested more than 8 deep" in bounded.left_out


def test_a_document_of_many_small_lists_ends_as_a_whole():
    bounded = Bounded()
    made = bounded.tree("training", [[[[1] * 50] * 50] * 50] * 50, 50)
    assert str(made).count("1") < MOST_VALUES
    assert bounded.items("labels", ["a"] * 3, 3, str) == []
    assert "training (50 entries; the first " in bounded.left_out
    assert "labels (3 entries; the first 0 are shown)" in bounded.left_out
