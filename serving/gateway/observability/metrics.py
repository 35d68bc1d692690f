"""The gateway's Prometheus metrics, all of them, in one registry of their own.

Several processes tell the sum of theirs (`process/combining.py`); a gauge of which that would be wrong says so by its
`multiprocess_mode`.

Label values come from the declared models and from closed sets: nothing a stranger sends becomes a label. An unknown
model is `unknown`. Durations are in seconds, sizes in bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics
from prometheus_client import Counter as LockedCounter
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from signet.serving.gateway.observability.access_log_counts import AccessLogCounts
from signet.serving.gateway.observability.request_log_counts import LogCounts
from signet.serving.models.model_status import BROKEN, REASONS, State, VersionStatus
from signet.serving.models.model_store import ModelStore
from signet.serving.process.combining import combined_by, exposition
from signet.serving.process.counter import Counter, CounterSeries
from signet.serving.process.histogram import Histogram, Series
from signet.serving.process.supervision import Failures
from signet.serving.tls.following import Followed
from signet.serving.tracing.span import DROPS

UNKNOWN = "unknown"

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_STAGE_SECONDS = (0.0001, 0.00025, 0.0005, *_SECONDS)
_ROWS = tuple(2**i for i in range(13))
_BYTES = tuple(256 * 4**i for i in range(10))
_MAX_VERSIONS = 4
"""Versions of a model with series of their own; older ones are dropped when a newer one comes."""

STAGES = ("parse", "decode", "queue", "run", "encode")
"""Of a request: text to values; values to arrays; waiting to be joined; that and the call; arrays to text."""

SHED = (
    *("predicted_wait", "too_late", "in_flight", "model_share", "caller_share", "bytes", "large_bodies"),
    *("connections", "address_connections", "slow_reader"),
)
"""Why requests or connections are turned away: the wait that is foreseen does not fit into the time that is left; too little was
left when the call would have begun; requests in work, in all, of one model, and of one caller beyond its share; bytes held; large
bodies in work; connections in all, of one address; a caller that does not read."""

ACCESS_REFUSED = (
    *("no_key", "malformed", "several", "unknown", "expired", "model", "admin", "requests_rate", "rows_rate"),
)
"""Why callers are refused where there are keys: nothing shown, no key's form, two different keys, unknown or revoked, expired; a
key that is for other models, that is no admin's; more requests or rows than its rate."""

PROTOCOLS = ("v1", "v2", "grpc_v1", "grpc_v2")


def _samples(metric: MetricWrapperBase) -> list[Sample]:
    return [sample for family in metric.collect() for sample in family.samples]


def _reason(status: VersionStatus, newest: int) -> str:
    """Of a version on a model server, which tells only its error, and that for ever: also when a newer one answers."""
    failed = status.state is State.END and status.error_code != "OK"
    return BROKEN if failed and status.version > newest else ""


class _AtScrape(Collector):
    """A collector that makes its metrics when the registry is scraped."""

    def __init__(self, families: Callable[[], Iterator[Metric]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families()


class InFlight:
    """The number of requests in work of one protocol; only the event loop writes it."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class RequestSeries(NamedTuple):
    """The series in which requests of one protocol, model, version, signature and outcome are counted: found once."""

    requests: CounterSeries
    durations: Series
    stages: tuple[Series, ...]
    request_bytes: Series
    response_bytes: Series

    def observe(
        self, seconds: float, stages_s: Sequence[float | None], request_bytes: int, response_bytes: int
    ) -> None:
        """Count a request that has been answered. stages_s: in the order of `STAGES`; None for one it has not reached."""
        self.requests.count += 1
        self.durations.observe(seconds)
        for series, stage_s in zip(self.stages, stages_s, strict=True):
            if stage_s is not None:
                series.observe(stage_s)
        self.request_bytes.observe(request_bytes)
        self.response_bytes.observe(response_bytes)


class Metrics:
    """All that one gateway counts: requests, stages, queues, load shedding, versions, model servers."""

    def __init__(self, version: str, failures: Failures | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each of the others, which no panel shows
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            "signet_requests",
            "Predict requests answered, by outcome: OK or a gRPC code name.",
            ("protocol", "model", "version", "signature", "code"),
            registry,
        )
        self._durations = Histogram(
            "signet_request_duration_seconds",
            "From the first byte of a predict request to its answer.",
            ("protocol", "model", "signature"),
            _SECONDS,
            registry,
        )
        self._stages = Histogram(
            "signet_stage_duration_seconds",
            f"Time a predict request spends in each stage: {', '.join(STAGES)}.",
            ("stage", "model"),
            _STAGE_SECONDS,
            registry,
        )
        in_flight = Gauge("signet_requests_in_flight", "Predict requests in work.", ("protocol",), registry=registry)
        self.in_flight = {protocol: InFlight() for protocol in PROTOCOLS}
        for protocol, number in self.in_flight.items():
            in_flight.labels(protocol).set_function(partial(getattr, number, "count"))
        self._batch_rows = Histogram("signet_batch_rows", "Rows joined into one call.", ("model",), _ROWS, registry)
        self._request_bytes = Histogram(
            "signet_request_size_bytes", "Bodies of predict requests.", ("protocol",), _BYTES, registry
        )
        self._response_bytes = Histogram(
            "signet_response_size_bytes", "Bodies of predict answers.", ("protocol",), _BYTES, registry
        )
        self.shed = LockedCounter(
            "signet_shed_total",
            f"Requests turned away, and connections closed for others, by reason: {', '.join(SHED)}.",
            ("reason",),
            registry=registry,
        )
        for reason in SHED:
            self.shed.labels(reason)  # at 0 from the start: a rate needs a value before the first one
        self._traces_dropped = LockedCounter(
            "signet_traces_dropped_total",
            f"Traced requests and calls whose spans did not reach the collector, by reason: {', '.join(DROPS)}.",
            ("reason",),
            registry=registry,
        )
        for reason in DROPS:
            self._traces_dropped.labels(reason)  # as above
        self.shed_by_wait = self.shed.labels("predicted_wait")
        self.access_refused = LockedCounter(
            "signet_access_refused_total",
            f"Requests refused for the key that they show, by reason: {', '.join(ACCESS_REFUSED)}.",
            ("reason",),
            registry=registry,
        )
        for reason in ACCESS_REFUSED:
            self.access_refused.labels(reason)
        self.key_requests = Counter(
            "signet_key_requests",
            "Predict requests answered, by the name of the key, of the first 256 of the file, or other; and by outcome.",
            ("key", "code"),
            registry,
        )
        self._model_state = Gauge(
            "signet_model_state",
            "1 for the state that a version is in, of the highest four.",
            ("model", "version", "state"),
            registry=registry,
            multiprocess_mode="max",
        )
        self._model_available = Gauge(
            "signet_model_available",
            "1 when a declared model has a version that answers.",
            ("model",),
            registry=registry,
            multiprocess_mode="min",
        )
        self.upstream_errors = LockedCounter(
            "signet_upstream_errors_total",
            "Calls to model servers that failed, those tried again included.",
            ("model", "grpc_code"),
            registry=registry,
        )
        self.upstream_retries = LockedCounter(
            "signet_upstream_retries_total", "Calls tried again on another model server.", ("model",), registry=registry
        )
        self.upstream_hedges = LockedCounter(
            "signet_upstream_hedges_total",
            "Calls made a second time as the first took long.",
            ("model",),
            registry=registry,
        )
        self.upstream_ejected = Gauge(
            "signet_upstream_ejected",
            "1 while a model server is left out.",
            ("backend",),
            registry=registry,
            multiprocess_mode="max",
        )
        self.upstream_requests = LockedCounter(
            "signet_upstream_channel_requests_total",
            "Calls sent to each model server.",
            ("backend",),
            registry=registry,
        )
        self._failed_versions = Gauge(
            "signet_failed_versions",
            f"Versions that should be served and are not, by reason: {', '.join(REASONS)}.",
            ("model", "reason"),
            registry=registry,
            multiprocess_mode="max",
        )
        self.request_log = LogCounts(registry)
        self.drift = Gauge(
            "signet_drift_psi",
            "How far what the request log samples is from the card's reference: the population stability index.",
            ("model", "version", "column"),
            registry=registry,
            multiprocess_mode="max",
        )
        self._certificates: list[Followed] = []
        registry.register(_AtScrape(self._expiries))
        self.access_log = AccessLogCounts()
        registry.register(_AtScrape(self.access_log.families))
        background = failures or Failures()
        registry.register(_AtScrape(lambda: iter([background.family()])))
        self.draining = Gauge("signet_draining", "1 from SIGTERM on.", registry=registry, multiprocess_mode="max")
        build = Gauge(
            "signet_build_info",
            "1; the version is the label.",
            ("version",),
            registry=registry,
            multiprocess_mode="max",
        )
        build.labels(version).set(1)

        self._request_series: dict[tuple[str, str, str, str, str], RequestSeries] = {}
        """Emptied whenever series are dropped. Only the event loop uses it."""
        self._versions: dict[str, list[str]] = {}
        self._models_before: set[str] = set()
        """The models that there were at the last scrape."""
        self._by_model: tuple[MetricWrapperBase, ...] = (
            self._model_state,
            self._model_available,
            self._failed_versions,
            self.drift,
            self.upstream_errors,
            self.upstream_retries,
            self.upstream_hedges,
        )

    def request_series(self, protocol: str, model: str, version: str, signature: str, code: str) -> RequestSeries:
        """Where such requests are counted. model, version, signature: of something loaded, or `unknown`. Not to be kept."""
        key = (protocol, model, version, signature, code)
        found = self._request_series.get(key)
        if found is None:
            self._limit_versions(model, version)
            found = self._request_series[key] = RequestSeries(
                self._requests.series(*key),
                self._durations.of(protocol, model, signature),
                tuple(self._stages.of(stage, model) for stage in STAGES),
                self._request_bytes.of(protocol),
                self._response_bytes.of(protocol),
            )
        return found

    def drop_traces(self, reason: str, number: int) -> None:
        """Count requests and calls whose spans are lost. reason: one of `DROPS`. Any thread may."""
        self._traces_dropped.labels(reason).inc(number)

    def observe_rows(self, model: str, rows: int) -> None:
        """Count a call into which so many rows go."""
        self._batch_rows.observe(rows, model)

    def watch_queues(self, models: Callable[[], Iterable[str]], waiting: Callable[[str], int], limit: int) -> None:
        """Show at each scrape how many requests of each model wait for a call, and how many may be in work in all."""

        def depths() -> Iterator[Metric]:
            name, text = "signet_admission_queue_depth", "Requests that wait for a call."
            family = GaugeMetricFamily(name, text, labels=["model"])
            for model in models():
                family.add_metric([model], waiting(model))
            yield family

        self.registry.register(_AtScrape(depths))
        most = Gauge("signet_admission_limit", "Requests that may be in work at once.", registry=self.registry)
        most.set(limit)

    def watch_waits(self, waits_s: Callable[[], Mapping[str, float]]) -> None:
        """Show at each scrape how long a request of each model would wait for its call."""

        def waits() -> Iterator[Metric]:
            name, text = (
                "signet_predicted_wait_seconds",
                "Seconds that a request which came now would wait for its call; the autoscaler's metric.",
            )
            family = combined_by("max", GaugeMetricFamily(name, text, labels=["model"]))
            for model, seconds in waits_s().items():
                family.add_metric([model], seconds)
            yield family

        self.registry.register(_AtScrape(waits))

    def watch_bytes(self, held: Callable[[], float]) -> None:
        """Show at each scrape how many bytes of requests and answers are held."""
        gauge = Gauge(
            "signet_buffered_bytes", "Bytes of bodies and unread answers that are held.", registry=self.registry
        )
        gauge.set_function(held)

    def watch_keys(self, count: Callable[[], int], up_to_date: Callable[[], bool]) -> None:
        """Show at each scrape how many keys are in use, and whether they are those of the file."""
        keys = Gauge("signet_keys", "Keys in use.", registry=self.registry, multiprocess_mode="max")
        keys.set_function(count)
        ok = Gauge(
            "signet_keys_up_to_date",
            "1 while the keys in use are those of the file; 0 while it cannot be read.",
            registry=self.registry,
            multiprocess_mode="min",
        )
        ok.set_function(up_to_date)

    def watch_store(self, store: ModelStore) -> None:
        """Show at each scrape when the folder of models was last as the store is."""
        synced = Gauge(
            "signet_model_store_synced_timestamp_seconds",
            "When the folder of models was last as the store is, in seconds since 1970.",
            registry=self.registry,
        )
        synced.set_function(lambda: store.synced_s)

    def watch_certificate(self, followed: Followed) -> None:
        """Show at each scrape when the certificate that is shown in a role ends, if there is one."""
        self._certificates.append(followed)

    def _expiries(self) -> Iterator[Metric]:
        name, text = (
            "signet_certificate_expiry_timestamp_seconds",
            "When the certificate in use ends, in seconds since 1970, by what it is shown as.",
        )
        family = combined_by("min", GaugeMetricFamily(name, text, labels=["role"]))
        for followed in self._certificates:
            if followed.expires_s is not None:
                family.add_metric([followed.role], followed.expires_s)
        yield family

    def set_states(self, model: str, statuses: Sequence[VersionStatus]) -> None:
        """Set the states of a model's versions, of which only the highest are shown."""
        self._model_available.labels(model).set(any(status.state is State.AVAILABLE for status in statuses))
        for labels in [sample.labels for sample in _samples(self._model_state)]:
            if labels["model"] == model:
                self._model_state.remove(labels["model"], labels["version"], labels["state"])
        newest = max((status.version for status in statuses if status.state is State.AVAILABLE), default=-1)
        reasons = [status.reason or _reason(status, newest) for status in statuses]
        for reason in REASONS:
            self._failed_versions.labels(model, reason).set(reasons.count(reason))
        for status in statuses[:_MAX_VERSIONS]:
            for state in State:
                self._model_state.labels(model, str(status.version), state.name).set(status.state is state)

    def keep_only(self, models: Iterable[str]) -> None:
        """Drop all series of models that are served no more, and those that a late answer has brought back."""
        kept = {UNKNOWN, *models}
        gone = (self._models_before | self._versions.keys()) - kept
        self._models_before = set(kept)
        if not gone:
            return
        for metric in self._by_model:
            for values in {tuple(sample.labels[name] for name in metric._labelnames) for sample in _samples(metric)}:
                if values[metric._labelnames.index("model")] in gone:
                    metric.remove(*values)
        self._requests.drop(lambda labels: labels["model"] in gone)
        for histogram in (self._durations, self._stages, self._batch_rows):
            histogram.drop("model", gone)
        for model in gone:
            self._versions.pop(model, None)
        self._request_series.clear()

    def exposition(self, *, openmetrics: bool = False) -> bytes:
        """All metrics in the text format that Prometheus scrapes, or in that of OpenMetrics, which has exemplars."""
        return exposition(self.registry, openmetrics=openmetrics)

    def _limit_versions(self, model: str, version: str) -> None:
        versions = self._versions.setdefault(model, [])
        if version in versions:
            return
        versions.append(version)
        if len(versions) <= _MAX_VERSIONS:
            return
        oldest = versions.pop(0)
        self._requests.drop(lambda labels: labels["model"] == model and labels["version"] == oldest)
        self._request_series.clear()
