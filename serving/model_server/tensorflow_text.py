"""TensorFlow Serving's text of its metrics, and what ReloadConfigRequest asks of them, from the counts of one process or many.

    [Family("/tensorflow/serving/request_count", …)] ──text──▶ # TYPE :tensorflow:serving:request_count counter …

Source: `prometheus_exporter.cc`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from signet.serving.process.combining import Family
from signet.serving.process.histogram import Histogram


def counter(name: str, labels: Sequence[str], cells: Mapping[tuple[str, ...], int]) -> Family:
    """A counter. cells: count by label values."""
    values = {(name, tuple(zip(labels, values, strict=True))): float(count) for values, count in list(cells.items())}
    return Family(name, "counter", "", "sum", values)


def histogram(metric: Histogram) -> Family:
    """A histogram: of each series its buckets, its sum and its count."""
    found = {}
    for values, series in metric.series():
        labels = tuple(zip(metric.labels, values, strict=True))
        count = 0
        for bound, count in series.cumulative("g"):
            found[f"{metric.name}_bucket", (*labels, ("le", bound))] = float(count)
        found[f"{metric.name}_sum", labels] = series.total
        found[f"{metric.name}_count", labels] = float(count)
    return Family(metric.name, "histogram", "", "sum", found)


def text(families: Iterable[Family]) -> bytes:
    """All metrics by name, in TensorFlow Serving's own format."""
    ordered = sorted(families, key=lambda family: family.name)
    return "".join(f"{line}\n" for family in ordered for line in _lines(family)).encode()


def first_cells(families: Iterable[Family], names: Iterable[str]) -> dict[str, int]:
    """The first cell of each counter by its name, such as `/tensorflow/serving/request_count`; 0 without one."""
    cells = {family.name: family.values for family in families if family.type == "counter"}
    return {name: next((int(count) for _, count in sorted(cells.get(name, {}).items())), 0) for name in names}


def _lines(family: Family) -> Iterator[str]:
    name = re.sub(r"[^a-zA-Z0-9_]", ":", family.name)
    yield f"# TYPE {name} {family.type}"
    for (sample, labels), value in family.values.items():
        ending = sample.removeprefix(family.name)
        number = f"{value:g}" if ending == "_sum" else str(int(value))
        yield f"{name}{ending}{{{','.join(map(_labelled, labels))}}} {number}"


def _labelled(label: tuple[str, str]) -> str:
    name, value = label
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'
