"""What the model server counts and times, told in two ways.

    answered, ran, batch_ran, … ──▶ counts ──TensorFlow Serving's names, text──▶ the path of --monitoring_config_file
                                           ──signet_… names, seconds, HELP─────▶ /metrics of the REST port

Under TensorFlow Serving's names the model is what the caller sent, as in the original, up to a bound; under ours it is
a served model or `unknown`. TensorFlow's own metrics are missing: its C API does not give them.
One process of several tells its counts to be summed with the others'. Source of names, labels and buckets:
`servables/tensorflow/util.cc`, `prometheus_exporter.cc`, `batching_session.cc`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as LockedCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from signet.serving.engine.repository import Repository
from signet.serving.model_server import tensorflow_text, text_file
from signet.serving.model_server.config_messages import MonitoringConfig
from signet.serving.models.model_status import State, VersionStatus
from signet.serving.process import combining
from signet.serving.process.child import Counts
from signet.serving.process.combining import combined_by
from signet.serving.process.histogram import Histogram
from signet.serving.process.supervision import Failures
from signet.serving.release import running_version
from signet.serving.tracing.span import DROPS

UNKNOWN = "unknown"

OURS, THEIRS = "metrics", "tensorflow"
"""Groups of counts, by whose names they have."""

GRPC, REST = "GRPC", "REST"
"""Ways in, by TensorFlow Serving's names; ours are below."""

_PROTOCOLS = {GRPC: "grpc_v1", REST: "v1"}
_COUNTED_RPCS = ("Predict", "Classify", "Regress")
"""The RPCs that TensorFlow Serving counts; over REST it counts everything."""

_UNNAMED = ("status", "metadata")
"""What REST calls GETs here; TensorFlow Serving has no name for them."""

_MAX_NAMES = 1000
"""Names of models not served that requests may bring up; all further ones count as `unknown`."""

_MAX_VERSIONS = 4
"""Versions of a model with series of their own; older ones are dropped when a newer one comes."""

_DEFAULT_PATH = "/monitoring/prometheus/metrics"
_PREFIX = "/tensorflow/serving/"

_MICROSECONDS = [10 * 1.8**i for i in range(33)]
_QUEUING_MICROSECONDS = [100 * 1.2**i for i in range(52)]
_SIZES = [2**i for i in range(14)]
_EXAMPLES = [2**i for i in range(15)]
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10)
_ROWS = [2**i for i in range(13)]


def metrics_path(config_file: str) -> str:
    """The path that a MonitoringConfig file gives to TensorFlow Serving's metrics; empty: there is none.

    Raises `NotFound` and `InvalidInput`.
    """
    if not config_file:
        return ""
    prometheus = text_file.read(Path(config_file), MonitoringConfig()).prometheus_config
    return (prometheus.path or _DEFAULT_PATH) if prometheus.enable else ""


class Monitoring:
    """Takes what happens, in the event loop's thread; tells all of it to any."""

    def __init__(self) -> None:
        self.failures = Failures()
        """Faults of background work, counted by whoever does it, in any thread."""
        self._repository: Repository | None = None
        self._names: set[str] = set()
        self._versions: dict[str, list[str]] = {}
        self._theirs: list[_Counter | Histogram] = []
        self._requests = self._counter("request_count", "model_name", "status")
        self._latency = self._histogram("request_latency", _MICROSECONDS, "model_name", "API", "entrypoint")
        self._runtime = self._histogram("runtime_latency", _MICROSECONDS, "model_name", "API", "runtime")
        self._example_total = self._counter("request_example_count_total", "model")
        self._examples = self._histogram("request_example_counts", _EXAMPLES, "model")
        self._warmup = self._histogram("model_warmup_latency", _MICROSECONDS, "model_path", "status")
        self._batches = self._counter("batching_session/wrapped_run_count")
        self._queuing = self._histogram("batching_session/queuing_latency", _QUEUING_MICROSECONDS, "thread_pool_name")
        self._input_sizes = self._histogram("batching_session/input_batch_size", _SIZES)
        self._batch_sizes = self._histogram("batching_session/processed_batch_size", _SIZES)
        self._padding = self._histogram("batching_session/padding_size", _SIZES, "execution_batch_size")

        self.in_flight = {entrypoint: _InFlight() for entrypoint in _PROTOCOLS}
        """To be entered while a request is in work."""
        registry = self._registry = CollectorRegistry()
        self._our_requests = _Counter(
            "signet_requests", ("protocol", "method", "model", "version", "signature", "code")
        )
        self._our_durations = Histogram(
            "signet_request_duration_seconds",
            "From the start of a request's work to its answer.",
            ("protocol", "method", "model", "signature"),
            _SECONDS,
            registry,
        )
        self._our_stages = Histogram(
            "signet_stage_duration_seconds",
            "Parts of a request: run (from the call of the engine to its outputs), queue (what of that was waiting).",
            ("stage", "model"),
            _SECONDS,
            registry,
        )
        self._our_rows = Histogram(
            "signet_batch_rows", "Rows joined into one call, without padding.", ("model",), _ROWS, registry
        )
        self._our_warmups = Histogram(
            "signet_warmup_duration_seconds", "Warm-ups of versions, by outcome.", ("code",), _SECONDS, registry
        )
        self._traces_dropped = LockedCounter(
            "signet_traces_dropped_total",
            "Traced calls whose spans did not reach the collector, by reason.",
            ("reason",),
            registry=registry,
        )
        for reason in DROPS:
            self._traces_dropped.labels(reason)  # a rate needs a value before the first one
        build = Gauge(
            "signet_build_info",
            "1; the version is the label.",
            ("version",),
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(running_version()).set(1)
        registry.register(_AtScrape(self._families))

    def traces_dropped(self, reason: str, number: int) -> None:
        """Calls were traced whose spans are lost. reason: one of `DROPS`. Any thread may tell."""
        self._traces_dropped.labels(reason).inc(number)

    def watch(self, repository: Repository) -> None:
        """Tell the states of its versions; its models are those that are known."""
        self._repository = repository

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
        served = model if self._serves(model) else UNKNOWN
        if version != UNKNOWN:
            self._limit_versions(served, version)
        told = _PROTOCOLS[entrypoint], _snake_case(api), served
        self._our_requests.add(*told, version, signature, code)
        self._our_durations.observe(seconds, *told, signature)

    def answered_rpc(self, rpc: str, request: object, response: object, code: str, seconds: float) -> None:
        """A request over gRPC has its answer, which its messages tell of. response: None when there is only an error."""
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
        name = self._bounded(model)
        self._example_total.add(name, by=count)
        self._examples.observe(count, name)

    def batch_ran(self, model: str, waited_s: Sequence[float], rows: Sequence[int], size: int) -> None:
        """A batch runs: how long each of its requests has waited, their rows, and the rows run, with padding."""
        for seconds in waited_s:
            self._queuing.observe(seconds * 1e6, "")
            self._our_stages.observe(seconds, "queue", model)
        for count in rows:
            self._input_sizes.observe(count)
        self._batches.add()
        self._batch_sizes.observe(size)
        self._padding.observe(size - sum(rows), str(size))
        self._our_rows.observe(sum(rows), model)

    def warmed_up(self, path: Path, code: str, seconds: float) -> None:
        """The warm-up of the version at `path` has ended, with that code. Called in the thread that loads."""
        self._warmup.observe(seconds * 1e6, str(path), code)
        self._our_warmups.observe(seconds, code)

    def told(self) -> Counts:
        """All that this process counts, to be added to what others count. Any thread may ask.

        `metrics`: under our names; `tensorflow`: under TensorFlow Serving's, for `tensorflow_text`.
        """
        theirs = [
            tensorflow_text.counter(metric.name, metric.labels, metric.cells)
            if isinstance(metric, _Counter)
            else tensorflow_text.histogram(metric)
            for metric in self._theirs
        ]
        return {OURS: combining.families(self._registry), THEIRS: theirs}

    def _counter(self, name: str, *labels: str) -> "_Counter":
        counter = _Counter(_PREFIX + name, labels)
        self._theirs.append(counter)
        return counter

    def _histogram(self, name: str, bounds: Sequence[float], *labels: str) -> Histogram:
        histogram = Histogram(_PREFIX + name, "", labels, bounds, None)
        self._theirs.append(histogram)
        return histogram

    def _families(self) -> Iterator[Metric]:
        text = "Requests answered, by outcome: OK or a gRPC code name."
        requests = CounterMetricFamily(self._our_requests.name, text, labels=self._our_requests.labels)
        for values, count in list(self._our_requests.cells.items()):
            requests.add_metric(values, count)
        yield requests
        in_flight = GaugeMetricFamily("signet_requests_in_flight", "Requests in work.", labels=["protocol"])
        for entrypoint, entered in self.in_flight.items():
            in_flight.add_metric([_PROTOCOLS[entrypoint]], entered.count)
        yield in_flight
        yield self.failures.family()
        text = "1 for the state a version is in."
        labels = ["model", "version", "state"]
        states = combined_by("max", GaugeMetricFamily("signet_model_state", text, labels=labels))
        for name, status in self._statuses():
            for state in State:
                states.add_metric([name, str(status.version), state.name], float(status.state is state))
        yield states

    def _statuses(self) -> Iterator[tuple[str, VersionStatus]]:
        if self._repository:
            for name in self._repository.models:
                yield from ((name, status) for status in self._repository.statuses(name)[:_MAX_VERSIONS])

    def _serves(self, model: str) -> bool:
        return self._repository is not None and model in self._repository.models

    def _bounded(self, model: str) -> str:
        if model not in self._names and not self._serves(model):
            if len(self._names) >= _MAX_NAMES:
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


class _Counter:
    """A count for each combination of label values."""

    def __init__(self, name: str, labels: Sequence[str] = ()) -> None:
        self.name, self.labels = name, labels
        self.cells: dict[tuple[str, ...], int] = {}

    def add(self, *values: str, by: int = 1) -> None:
        self.cells[values] = self.cells.get(values, 0) + by


class _InFlight:
    """Counts those between entering and leaving a `with`."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


class _AtScrape(Collector):
    """Makes a registry ask for metrics when it is scraped."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families()


@lru_cache(64)
def _snake_case(api: str) -> str:
    """GetModelStatus -> get_model_status."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", api).lower()
