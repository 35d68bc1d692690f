"""Counts of several processes are those of one that saw it all."""

import pickle
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, enable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from signet.serving.process import combining, counter
from signet.serving.process.combining import combined_by, family
from signet.serving.process.histogram import Histogram

BOUNDS = (0.5, 2.0, 8.0)
LABELS = ("model", "code")
KINDS = ("counter", "own counter", "histogram", "sum", "max", "min")

names = st.sampled_from(["a", "b", "c"])
events = st.tuples(
    st.sampled_from(KINDS), st.sampled_from(["one", "other"]), names, names, st.integers(1, 1 << 30), st.integers(0, 2)
)
"""A kind of metric, which of two of that kind, its labels, a value (whole, so that sums are exact), and who sees it."""


@pytest.fixture(scope="module", autouse=True)
def _with_the_times_of_creation() -> Iterator[None]:
    """They are on by default; a gateway that another test has made in this process has turned them off."""
    enable_created_metrics()
    yield
    disable_created_metrics()


class Registry:
    """A process's registry with two metrics of each kind."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = {}
        for which in ("one", "other"):
            self.metrics["counter", which] = Counter(f"c_{which}", "text", LABELS, registry=self.registry)
            self.metrics["own counter", which] = counter.Counter(f"o_{which}", "text", LABELS, self.registry)
            self.metrics["histogram", which] = Histogram(f"h_{which}", "text", LABELS, BOUNDS, self.registry)
            for mode in ("sum", "max", "min"):
                self.metrics[mode, which] = Gauge(
                    f"{mode}_{which}", "text", LABELS, registry=self.registry, multiprocess_mode=mode
                )

    def see(self, kind: str, which: str, model: str, code: str, value: int) -> None:
        metric = self.metrics[kind, which]
        if kind == "counter":
            metric.labels(model, code).inc(value)
        elif kind == "own counter":
            metric.series(model, code).count += value
        elif kind == "histogram":
            metric.observe(float(value), model, code)
        elif kind == "sum":
            metric.labels(model, code).inc(value)
        else:
            series = metric.labels(model, code)
            known = any(sample.labels == {"model": model, "code": code} for sample in samples(metric) if sample.value)
            series.set((max if kind == "max" else min)(series._value.get(), value) if known else value)


def samples(metric):
    return [sample for one in metric.collect() for sample in one.samples]


def lines(text: bytes) -> list[str]:
    """Order says nothing; but a metric's lines stand together, which `generate_latest` sees to. Nor do times."""
    return sorted(line for line in text.decode().splitlines() if "_created" not in line)


@given(st.lists(events, max_size=40))
def test_the_sum_over_processes_is_what_one_would_have_counted(seen):
    alone, several = Registry(), [Registry() for _ in range(3)]
    for kind, which, model, code, value, place in seen:
        alone.see(kind, which, model, code, value)
        several[place].see(kind, which, model, code, value)
    parts = [pickle.loads(pickle.dumps(combining.families(one.registry))) for one in several]
    assert lines(combining.text(combining.combine(parts))) == lines(generate_latest(alone.registry))


@given(st.lists(events, max_size=40), st.lists(events, max_size=40))
def test_no_counter_falls_when_a_process_ends_and_another_takes_its_place(before, after):
    several = [Registry() for _ in range(3)]
    for kind, which, model, code, value, place in before:
        several[place].see(kind, which, model, code, value)
    told = [combining.families(one.registry) for one in several]
    several[0] = Registry()
    for kind, which, model, code, value, place in after:
        several[place].see(kind, which, model, code, value)
    ended = combining.lasting(told[0])
    now = [combining.families(one.registry) for one in several]
    sums = {one.name: one.values for one in combining.combine([*now, ended])}
    for one in combining.combine(told):
        if one.type in ("counter", "histogram"):
            assert all(sums[one.name][key] >= value for key, value in one.values.items())


def test_counting_began_when_the_first_process_did():
    first, second = counted(model="m"), counted(model="m")
    created = ("c_created", (("model", "m"),))
    (both,) = [one for one in combining.combine([second, first]) if created in one.values]
    assert both.values[created] == min(part[0].values[created] for part in (first, second))


def test_a_family_made_at_the_scrape_says_how_it_is_combined():
    parts = []
    for value in (1.0, 3.0):
        metric = combined_by("max", GaugeMetricFamily("g", "text", labels=["model"]))
        metric.add_metric(["m"], value)
        parts.append([family(metric)])
    (both,) = combining.combine(parts)
    assert list(both.values.values()) == [3.0]


def counted(**labels: str) -> list[combining.Family]:
    registry = CollectorRegistry()
    Counter("c", "text", tuple(labels), registry=registry).labels(**labels).inc()
    return combining.families(registry)


def test_what_ended_processes_counted_goes_with_the_models_and_versions_that_nobody_tells_of_any_more():
    ended = combining.combine([counted(model="old", version="1"), counted(model="m", version="unknown")])
    assert combining.still_told(ended, []) == ended
    (left,) = combining.still_told(ended, [counted(model="m", version="2")])
    labels = (("model", "m"), ("version", "unknown"))
    assert list(left.values) == [("c_total", labels), ("c_created", labels)]


def test_the_last_exemplar_of_each_bucket_is_told_in_openmetrics_and_in_no_other_text():
    processes = [Registry(), Registry()]
    for place, process in enumerate(processes):
        series = process.metrics["histogram", "one"].of("a", "b")
        for value in (1.0, 4.0)[: 2 - place]:
            series.observe(value)
            series.exemplify(value, f"{place}{value:.0f}")
    parts = [pickle.loads(pickle.dumps(combining.families(process.registry))) for process in processes]
    joint = combining.combine(parts)
    read = list(text_string_to_metric_families(combining.text(joint, openmetrics=True).decode()))
    (told,) = [metric for metric in read if metric.name == "h_one"]
    exemplars = {sample.labels["le"]: sample.exemplar.labels for sample in told.samples if sample.exemplar}
    assert exemplars == {"2.0": {"trace_id": "11"}, "8.0": {"trace_id": "04"}}
    assert "trace_id" not in combining.text(joint).decode()
    assert "trace_id" in combining.text(combining.lasting(joint), openmetrics=True).decode()
