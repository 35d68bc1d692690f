"""Figures of the cards: what is worse by more than chance and more than its bound is refused, and names itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signet.serving.models.model_card import Card
from signet.serving.releases.gate import scores
from signet.serving.releases.gate.bounds import Bounds


def card(value, metric="accuracy", rows=450, baselines=None):
    score = {"output": "digit", "metric": metric, "value": value, "baselines": baselines or {}}
    return Card({"scores": [score], "data": {"held_out_rows": rows}})


def said(stable, candidate, **bounds):
    findings, _ = scores.compare(stable, candidate, Bounds(**bounds))
    return [(one.level, one.text) for one in findings]


GUESS = {"the median": 5.0, "a better one": 2.0}


@pytest.mark.parametrize(
    ("stable", "candidate", "level"),
    [
        (card(0.967), card(0.593), "refused"),
        (card(0.967), card(0.95), None),
        (card(0.967, rows=45_000), card(0.94, rows=45_000), "warning"),
        (card(0.967), card(0.87), "warning"),  # worse by 0.1, of which chance may make 0.055
        (card(0.967), card(0.82), "refused"),
        (card(0.967, rows=20), card(0.8, rows=20), None),
        (card(0.593), card(0.967), None),
        (card(1.0), card(float("nan")), "refused"),
        (card(0.9, "accuracy, real pairs"), card(0.5, "accuracy, real pairs"), "refused"),
        (card(1.0, "mean error in metres", 500, GUESS), card(1.1, "mean error in metres", 500), None),
        (card(1.0, "mean error in metres", 500, GUESS), card(1.7, "mean error in metres", 500), "refused"),
        (card(1e-4, "mean distance", 500, {"left": 1.0}), card(5e-4, "mean distance", 500), "warning"),
        (card(1.0, "mean error"), card(9.0, "mean error"), "warning"),  # nobody says what is much
        (card(3.0, "perplexity"), card(9.0, "perplexity"), "note"),
        (card(0.9), Card({}), "warning"),
        (Card({}), card(0.9), None),
        (Card({}), Card({}), None),
    ],
)
def test_a_figure_is_held_against_its_bound_beyond_chance(stable, candidate, level):
    assert [one for one, _ in said(stable, candidate)] == ([level] if level else [])


def test_what_is_refused_names_output_figure_and_bound():
    assert said(card(0.967), card(0.593)) == [
        ("refused", "output 'digit': accuracy on held-out rows is 0.593, the stable version's 0.967 (bound 0.05 worse)")
    ]
    ((_, text),) = said(card(1.0, "mean error", 500, GUESS), card(1.7, "mean error", 500))
    assert text.endswith("is 1.7, the stable version's 1 (bound 0.05 of 5, the simplest guess's, worse)")
    assert said(card(0.967), card(0.593), max_worse=0.5) == [
        (
            "warning",
            "output 'digit': accuracy on held-out rows is 0.593, the stable version's 0.967: worse by more than chance",
        )
    ]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["output", "metric", "value", "baselines", "scores", "data"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(_JSON, _JSON, st.sampled_from(["accuracy", "error", "x"]))
def test_cards_of_any_content_are_compared_without_an_error(value, data, metric):
    strange = Card(
        {"scores": [value, {"output": "digit", "metric": metric, "value": value, "baselines": data}], "data": data}
    )
    whole = card(0.9, metric, baselines={"guess": 3.0})
    for pair in ((strange, whole), (whole, strange), (strange, strange), (Card({"scores": value}), whole)):
        scores.compare(*pair, Bounds())
