"""Counts of several processes as if one had counted it all: the same for each counter, gauge and histogram.

    registry of child 0 ──families──▶ ┐
    registry of child 1 ──families──▶ ├─ combine ──▶ families ──text──▶ /metrics
    registry of the parent ─────────▶ │
    children that have ended ───────▶ ┘  (their counters only, as they were last told: no sum ever falls)

Counters and histograms are added up. So are gauges, unless one says otherwise where it is made: `multiprocess_mode`, which
prometheus_client has for this, is `max` or `min` then. A family made at the scrape says it by `combined_by`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample

Rule = Literal["sum", "max", "min"]

M = TypeVar("M", bound=Metric)

_RULES: Mapping[str, Callable[[float, float], float]] = {"sum": lambda one, other: one + other, "max": max, "min": min}
_LASTING = ("counter", "histogram")
"""Types whose values are those since the start, so that they stay when a process ends."""

_BOUNDED = {"model": "model", "model_name": "model", "version": "version", "model_path": "model_path"}
"""Labels whose values come and go with what is served, and what the values are: when no process tells of one any more, in
whatever metric, neither do those that ended."""
_UNKNOWN = "unknown"
_CREATED = "_created"
"""How the name of a sample ends that says since when a counter counts."""

Value = tuple[str, tuple[tuple[str, str], ...]]
"""What tells a value of a family from the others: the sample's name, and its labels in their order."""


class Family(NamedTuple):
    """A metric with all its values, in a form that goes from process to process."""

    name: str
    type: str
    documentation: str
    rule: Rule
    values: dict[Value, float]
    exemplars: Mapping[Value, Exemplar] = {}
    """Of buckets: a value in it, and the trace that it is of. Nobody writes what is here."""


def combined_by(rule: Rule, metric: M) -> M:
    """The metric, which says from now on how its values of several processes become one."""
    metric.combined_by = rule  # type: ignore[attr-defined]  # it is ours to set
    return metric


def families(registry: CollectorRegistry) -> list[Family]:
    """What a registry has counted, in this process. Any thread may ask if it may scrape."""
    with registry._lock:
        collectors = list(registry._collector_to_names)
    return [
        family(metric, _rule(getattr(collector, "_multiprocess_mode", "sum")))
        for collector in collectors
        for metric in collector.collect()
    ]


def family(metric: Metric, rule: Rule = "sum") -> Family:
    """One metric. rule: holds unless the metric itself says another."""
    values = {(sample.name, tuple(sample.labels.items())): sample.value for sample in metric.samples}
    exemplars = {
        (sample.name, tuple(sample.labels.items())): sample.exemplar for sample in metric.samples if sample.exemplar
    }
    rule = getattr(metric, "combined_by", rule)
    return Family(metric.name, metric.type, metric.documentation, rule, values, exemplars)


def combine(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """The families of all parts, each once; the values of each in the order in which they first come."""
    found: dict[str, Family] = {}
    for part in parts:
        for one in part:
            known = found.get(one.name)
            if known is None:
                found[one.name] = one._replace(values=dict(one.values))
                continue
            if one.exemplars:
                known = found[one.name] = known._replace(exemplars=_last(known.exemplars, one.exemplars))
            rule = _RULES[one.rule if one.type not in _LASTING else "sum"]
            for key, value in one.values.items():
                before = known.values.get(key)
                if before is None:
                    known.values[key] = value
                else:
                    known.values[key] = (min if key[0].endswith(_CREATED) else rule)(before, value)
    return list(found.values())


def lasting(part: Sequence[Family]) -> list[Family]:
    """What stays of a process's families when it ends."""
    return [one for one in part if one.type in _LASTING]


def still_told(ended: Sequence[Family], living: Iterable[Sequence[Family]]) -> list[Family]:
    """What ended processes have counted, without models and versions that no living one tells of; all while none lives."""
    told: dict[str, set[str]] = {what: {_UNKNOWN} for what in _BOUNDED.values()}
    parts = list(living)
    for one in (one for part in parts for one in part):
        for _, labels in one.values:
            for label, value in labels:
                if what := _BOUNDED.get(label):
                    told[what].add(value)
    if not parts:
        return list(ended)
    return [one._replace(values={key: value for key, value in one.values.items() if _is(key, told)}) for one in ended]


def text(parts: Sequence[Family], *, openmetrics: bool = False) -> bytes:
    """Families in the text format that Prometheus scrapes, or in that of OpenMetrics, which has exemplars."""
    registry = CollectorRegistry()
    registry.register(_Told(parts))
    return exposition(registry, openmetrics=openmetrics)


def exposition(registry: CollectorRegistry, *, openmetrics: bool) -> bytes:
    """The same of a registry."""
    if openmetrics:
        written: bytes = openmetrics_text(registry)  # type: ignore[no-untyped-call]
        return written
    return generate_latest(registry)


def _last(one: Mapping[Value, Exemplar], other: Mapping[Value, Exemplar]) -> Mapping[Value, Exemplar]:
    """Of each bucket the exemplar that came last."""
    last = dict(one)
    for key, exemplar in other.items():
        known = last.get(key)
        if known is None or float(exemplar.timestamp or 0) >= float(known.timestamp or 0):
            last[key] = exemplar
    return last


def _is(key: Value, told: Mapping[str, Collection[str]]) -> bool:
    return all(label not in _BOUNDED or value in told[_BOUNDED[label]] for label, value in key[1])


def _rule(mode: Any) -> Rule:
    """What prometheus_client's words mean here; a gauge that says nothing has `all`."""
    rules: dict[Any, Rule] = {"max": "max", "min": "min"}
    return rules.get(mode, "sum")


class _Told(Collector):
    def __init__(self, parts: Sequence[Family]) -> None:
        self._parts = parts

    def collect(self) -> Iterable[Metric]:
        for part in self._parts:
            metric = Metric(part.name, part.documentation, part.type)
            metric.samples = [
                Sample(key[0], dict(key[1]), value, exemplar=part.exemplars.get(key))
                for key, value in part.values.items()
            ]
            yield metric
