"""Gauges of drift: what is sampled, held against the card; bounded in labels, quiet while there is too little."""

import dataclasses

import numpy as np

from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.request_log import drift_watch
from signet.serving.gateway.request_log.drift_watch import DriftWatch
from signet.serving.models import distribution
from signet.serving.models.model_card import Card
from tests.serving.gateway.request_log.made import a_plan, record, signature

MADE = signature({"age": ("float", (None,)), "x": ("float", (None, 8))}, {"y": ("float", (None,))})


def arrays(rows, seed, older=0.0):
    chance = np.random.default_rng(seed)
    inputs = {"age": chance.normal(40 + older, 10, rows), "x": chance.normal(size=(rows, 8))}
    return inputs, {"y": inputs["age"] + chance.normal(size=rows)}


def plan(version=3, rows=1000, redact=""):
    inputs, outputs = arrays(rows, 0)
    reference = distribution.reference(MADE, inputs, outputs, 0, "rows")
    card = Card({"signatures": {"serving_default": {"reference": reference.to_json() if reference else None}}})
    made = a_plan(MADE, redact)
    return dataclasses.replace(made, card=card, logged=dataclasses.replace(made.logged, version=version))


def gauges(metrics):
    """Version, column -> value."""
    samples = next(iter(metrics.drift.collect())).samples
    assert {sample.labels["model"] for sample in samples} <= {"m"}
    return {(int(sample.labels["version"]), sample.labels["column"]): sample.value for sample in samples}


def watched(made, *parts, metrics=None):
    """The gauges after groups of (rows, seed, older)."""
    metrics = metrics or Metrics("1")
    watch = DriftWatch(metrics, lambda: 0.0)
    for rows, seed, older in parts:
        watch._next_s = 0.0
        inputs, outputs = arrays(rows, seed, older)
        shown = {name: array for name, array in inputs.items() if name not in made.hidden}
        watch.add([[record(made, shown, outputs, rows)]])
    return gauges(metrics)


def test_what_drifts_is_shown_and_what_does_not_is_small():
    found = watched(plan(), (800, 1, 15))
    assert found[3, "age"] > 0.5
    assert found[3, "output.y"] > 0.5
    assert all(value < 0.25 for (_, column), value in found.items() if column.startswith("x["))


def test_the_index_is_that_of_the_command():
    made = plan()
    column = made.card.reference("serving_default").columns["age"]
    values = distribution.features(MADE, arrays(800, 1)[0], {})["age"]
    assert watched(made, (800, 1, 0))[3, "age"] == distribution.psi(column.counts, column.count(values))


def test_few_rows_show_nothing():
    assert watched(plan(), (drift_watch.LEAST_ROWS - 1, 1, 15)) == {}
    assert watched(plan(rows=drift_watch.LEAST_REFERENCE_ROWS - 1), (900, 1, 15)) == {}
    assert watched(a_plan(MADE), (900, 1, 15)) == {}  # no card


def test_old_rows_are_forgotten():
    before = watched(plan(), (2000, 1, 15))
    after = watched(plan(), (2000, 1, 15), (2000, 2, 0), (2000, 3, 0))
    assert before[3, "age"] > 0.5
    assert after[3, "age"] < 0.1


def test_redacted_columns_are_not_counted():
    assert not any(column == "age" for _, column in watched(plan(redact="m.age"), (900, 1, 15)))


def test_versions_and_columns_are_bounded(monkeypatch):
    monkeypatch.setattr(drift_watch, "MOST_COLUMNS", 2)
    metrics = Metrics("1")
    watch = DriftWatch(metrics, lambda: 0.0)
    for version in range(1, 6):
        watch._next_s = 0.0
        watch.add([[record(plan(version), *arrays(900, 1), 900)]])
    found = gauges(metrics)
    assert {version for version, _ in found} == {4, 5}
    assert len(found) == 4
    metrics.keep_only(["m"])
    metrics.keep_only([])
    assert gauges(metrics) == {}
