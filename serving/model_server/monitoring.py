"""What the model server counts and times, told in two ways.

    answered, ran, queued, … ──▶ counts ──TensorFlow Serving's names and text──▶ the path of --monitoring_config_file
                                        ──signet_… names, seconds, HELP───────▶ /metrics of the REST port

Under TensorFlow Serving's names the model is what the caller sent, as in the original, up to a bound; under ours it is
a served model or `unknown`. TensorFlow's own metrics are missing: its C API does not give them.
Source of names, labels and buckets: `servables/tensorflow/util.cc`, `prometheus_exporter.cc`, `batching_session.cc`.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from serving.engine.repository import Repository
from serving.errors import UsageError
from serving.model_server.config_messages import MonitoringConfig
from serving.model_status import State

UNKNOWN = "unknown"

_DEFAULT_PATH = "/monitoring/prometheus/metrics"

GRPC, REST = "GRPC", "REST"
"""Ways in, by TensorFlow Serving's names; ours are below."""

_PROTOCOLS = {GRPC: "grpc_v1", REST: "v1"}
_COUNTED_RPCS = ("Predict", "Classify", "Regress")
"""The RPCs that TensorFlow Serving counts; over REST it counts everything."""

_UNNAMED = ("status", "metadata")
"""What REST calls GETs here; TensorFlow Serving has no name for them."""

_MAX_NAMES = 1000
"""Model names that requests may bring up, served or not; all further ones count as `unknown`."""

_MAX_VERSIONS = 4
"""Versions of a model with series of their own; older ones are dropped when a newer one comes."""

_MICROSECONDS = tuple(10 * 1.8**i for i in range(33))
_QUEUING_MICROSECONDS = tuple(100 * 1.2**i for i in range(52))
_SIZES = tuple(2.0**i for i in range(14))
_EXAMPLES = tuple(2.0**i for i in range(15))
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)
_ROWS = tuple(2.0**i for i in range(13))

Values = tuple[str, ...]


def metrics_path(config_file: str) -> str:
    """The path that a MonitoringConfig file gives to TensorFlow Serving's metrics; empty: there is none.

    Raises `UsageError` for a file that cannot be read.
    """
    if not config_file:
        return ""
    config: Any = MonitoringConfig()
    try:
        text_format.Parse(Path(config_file).read_text(), config)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UsageError(f"INVALID_ARGUMENT: Invalid protobuf file: '{config_file}': {error}") from error
    prometheus = config.prometheus_config
    return (prometheus.path or _DEFAULT_PATH) if prometheus.enable else ""


class _Counter:
    """A count for each combination of label values."""

    def __init__(self, name: str, labels: Sequence[str] = ()) -> None:
        self.name, self.labels = name, tuple(labels)
        self.cells: dict[Values, int] = {}

    def add(self, *values: str, by: int = 1) -> None:
        self.cells[values] = self.cells.get(values, 0) + by


class _Histogram:
    """Counts by size for each combination of label values."""

    def __init__(self, name: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        self.name, self.labels, self.bounds = name, tuple(labels), bounds
        self.cells: dict[Values, list[int]] = {}
        self.sums: dict[Values, float] = {}

    def observe(self, amount: float, *values: str) -> None:
        cell = self.cells.get(values)
        if cell is None:
            cell = self.cells[values] = [0] * (len(self.bounds) + 1)
            self.sums[values] = 0.0
        cell[bisect_right(self.bounds, amount)] += 1
        self.sums[values] += amount


class _InFlight:
    """Counts those between entering and leaving a `with`."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


class Monitoring:
    """Takes what happens; gives both texts. All of it is called in the event loop's thread."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.in_flight = {entrypoint: _InFlight() for entrypoint in _PROTOCOLS}
        """To be entered while a request is in work."""
        self._names: set[str] = set()
        self._versions: dict[str, list[str]] = {}

        prefix = "/tensorflow/serving/"
        batching = f"{prefix}batching_session/"
        self._queuing = _Histogram(f"{batching}queuing_latency", ["thread_pool_name"], _QUEUING_MICROSECONDS)
        self._batches = _Counter(f"{batching}wrapped_run_count")
        self._input_sizes = _Histogram(f"{batching}input_batch_size", [], _SIZES)
        self._batch_sizes = _Histogram(f"{batching}processed_batch_size", [], _SIZES)
        self._padding = _Histogram(f"{batching}padding_size", ["execution_batch_size"], _SIZES)
        self._warmup = _Histogram(f"{prefix}model_warmup_latency", ["model_path", "status"], _MICROSECONDS)
        self._requests = _Counter(f"{prefix}request_count", ["model_name", "status"])
        self._example_total = _Counter(f"{prefix}request_example_count_total", ["model"])
        self._examples = _Histogram(f"{prefix}request_example_counts", ["model"], _EXAMPLES)
        self._latency = _Histogram(f"{prefix}request_latency", ["model_name", "API", "entrypoint"], _MICROSECONDS)
        self._runtime = _Histogram(f"{prefix}runtime_latency", ["model_name", "API", "runtime"], _MICROSECONDS)

        self._our_requests = _Counter(
            "signet_requests", ["protocol", "method", "model", "version", "signature", "code"]
        )
        self._our_durations = _Histogram(
            "signet_request_duration_seconds", ["protocol", "method", "model", "signature"], _SECONDS
        )
        self._our_stages = _Histogram("signet_stage_duration_seconds", ["stage", "model"], _SECONDS)
        self._our_rows = _Histogram("signet_batch_rows", ["model"], _ROWS)
        self._registry = CollectorRegistry()
        build = Gauge("signet_build_info", "1; the version is the label.", ["version"], registry=self._registry)
        build.labels(package_version("signet")).set(1)
        self._registry.register(_Ours(self))

    def answered(
        self,
        entrypoint: str,
        api: str,
        model: str,
        code: str,
        seconds: float,
        *,
        version: str = UNKNOWN,
        signature: str = UNKNOWN,
    ) -> None:
        """A request has its answer.

        api: `Predict` over gRPC, `predict` over REST. model: as the caller sent it. version, signature: those used.
        """
        if entrypoint == REST or api in _COUNTED_RPCS:
            name = self._bounded(model)
            self._requests.add(name, code)
            if code == "OK":
                self._latency.observe(seconds * 1e6, name, "" if api in _UNNAMED else api, entrypoint)
        served = model if model in self._repository.models else UNKNOWN
        if version != UNKNOWN:
            self._limit_versions(served, version)
        told = _PROTOCOLS[entrypoint], _snake_case(api), served
        self._our_requests.add(*told, version, signature, code)
        self._our_durations.observe(seconds, *told, signature)

    def answered_rpc(self, rpc: str, request: Any, response: Any, code: str, seconds: float) -> None:
        """The same for gRPC, from the messages; response: None when there is only an error."""
        tasks = getattr(request, "tasks", ())
        asked = getattr(tasks[0] if tasks else request, "model_spec", None)
        chosen = getattr(response, "model_spec", None)
        version, signature = UNKNOWN, UNKNOWN
        if chosen is not None:
            version, signature = str(chosen.version.value), chosen.signature_name or UNKNOWN
        name = asked.name if asked is not None else ""
        self.answered(GRPC, rpc, name, code, seconds, version=version, signature=signature)

    def ran(self, model: str, api: str, seconds: float) -> None:
        """A call of the engine has ended well. api: the RPC that it is counted under, also when it came over REST."""
        if api in _COUNTED_RPCS:
            self._runtime.observe(seconds * 1e6, model, api, "TF1")
        self._our_stages.observe(seconds, "run", model)

    def examples(self, model: str, count: int) -> None:
        """A MultiInference request brought that many examples."""
        model = self._bounded(model)
        self._example_total.add(model, by=count)
        self._examples.observe(count, model)

    def batch_ran(self, model: str, waited_s: Iterable[float], rows: Sequence[int], size: int) -> None:
        """A batch has run: how long each of its requests had waited, their rows, and the rows run, with padding."""
        for seconds in waited_s:
            self._queuing.observe(seconds * 1e6, "")
            self._our_stages.observe(seconds, "queue", model)
        for count in rows:
            self._input_sizes.observe(count)
        self._batches.add()
        self._batch_sizes.observe(size)
        self._padding.observe(size - sum(rows), str(size))
        self._our_rows.observe(sum(rows), model)

    def warmed_up(self, path: str, code: str, seconds: float) -> None:
        """The warm-up of a version has ended, with that code."""
        self._warmup.observe(seconds * 1e6, path, code)

    def tensorflow_text(self) -> bytes:
        """All metrics under TensorFlow Serving's names, in its own text format."""
        metrics = [metric for metric in vars(self).values() if isinstance(metric, _Counter | _Histogram)]
        theirs = sorted((metric for metric in metrics if metric.name.startswith("/")), key=lambda metric: metric.name)
        return "".join(f"{line}\n" for metric in theirs for line in _lines(metric)).encode()

    def text(self) -> bytes:
        """All metrics under our names, as Prometheus reads them."""
        return generate_latest(self._registry)

    def families(self) -> Iterator[Metric]:
        """Ours, for the registry."""
        yield _counter_family(self._our_requests, "Requests answered, by outcome: OK or a gRPC code name.")
        durations = "From the first byte of a request's body to its answer."
        yield _histogram_family(self._our_durations, durations)
        stages = "Time that a request waits for a batch (queue) and that the engine takes (run)."
        yield _histogram_family(self._our_stages, stages)
        yield _histogram_family(self._our_rows, "Rows joined into one call, without padding.")
        states = GaugeMetricFamily(
            "signet_model_state", "1 for the state a version is in.", labels=["model", "version", "state"]
        )
        for name in self._repository.models:
            for status in self._repository.statuses(name)[:_MAX_VERSIONS]:
                for state in State:
                    states.add_metric([name, str(status.version), state.name], float(status.state is state))
        yield states
        in_flight = GaugeMetricFamily("signet_requests_in_flight", "Requests in work.", labels=["protocol"])
        for entrypoint, requests in self.in_flight.items():
            in_flight.add_metric([_PROTOCOLS[entrypoint]], requests.count)
        yield in_flight

    def _bounded(self, model: str) -> str:
        if model in self._names:
            return model
        if len(self._names) >= _MAX_NAMES and model not in self._repository.models:
            return UNKNOWN
        self._names.add(model)
        return model

    def _limit_versions(self, model: str, version: str) -> None:
        versions = self._versions.setdefault(model, [])
        if version in versions:
            return
        versions.append(version)
        if len(versions) > _MAX_VERSIONS:
            oldest = versions.pop(0)
            cells = self._our_requests.cells
            for values in [values for values in cells if values[2:4] == (model, oldest)]:
                del cells[values]


class _Ours(Collector):
    """Makes a registry ask for the metrics at the time of a scrape."""

    def __init__(self, monitoring: Monitoring) -> None:
        self._monitoring = monitoring

    def collect(self) -> Iterator[Metric]:
        return self._monitoring.families()


@lru_cache(64)
def _snake_case(api: str) -> str:
    """GetModelStatus -> get_model_status."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", api).lower()


# Ours


def _counter_family(counter: _Counter, text: str) -> Metric:
    family = CounterMetricFamily(counter.name, text, labels=counter.labels)
    for values, count in counter.cells.items():
        family.add_metric(values, count)
    return family


def _histogram_family(histogram: _Histogram, text: str) -> Metric:
    family = HistogramMetricFamily(histogram.name, text, labels=histogram.labels)
    for values, counts in histogram.cells.items():
        buckets = [(limit, float(count)) for limit, count in _cumulated(histogram, counts)]
        family.add_metric(values, buckets, sum_value=histogram.sums[values])
    return family


# TensorFlow Serving's


def _lines(metric: _Counter | _Histogram) -> Iterator[str]:
    name = re.sub(r"[^a-zA-Z0-9_]", ":", metric.name)
    if isinstance(metric, _Counter):
        yield f"# TYPE {name} counter"
        for values, count in metric.cells.items():
            yield f"{name}{{{','.join(_labelled(metric, values))}}} {count}"
        return
    yield f"# TYPE {name} histogram"
    for values, counts in metric.cells.items():
        labelled = _labelled(metric, values)
        for limit, count in _cumulated(metric, counts):
            bound = f'le="{limit}"'
            yield f"{name}_bucket{{{','.join([*labelled, bound])}}} {count}"
        yield f"{name}_sum{{{','.join(labelled)}}} {metric.sums[values]:g}"
        yield f"{name}_count{{{','.join(labelled)}}} {sum(counts)}"


def _labelled(metric: _Counter | _Histogram, values: Values) -> list[str]:
    escaped = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return [f'{label}="{value}"' for label, value in zip(metric.labels, escaped, strict=True)]


def _cumulated(histogram: _Histogram, counts: Sequence[int]) -> Iterator[tuple[str, int]]:
    total = 0
    for limit, count in zip((*histogram.bounds, None), counts, strict=True):
        total += count
        yield ("+Inf" if limit is None else f"{limit:g}"), total
