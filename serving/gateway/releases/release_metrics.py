"""What Prometheus is told of releases, at each scrape. Labels are models, stages and outputs: nothing that a caller sends."""

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from signet.serving.gateway.releases.checking import Checking
from signet.serving.gateway.releases.copying import Copying
from signet.serving.gateway.releases.routing import CANDIDATE, STABLE, Routing
from signet.serving.process.combining import combined_by
from signet.serving.releases.checks import Progress
from signet.serving.releases.release import Stage


class ReleaseMetrics(Collector):
    """The families of one gateway. Any thread may collect."""

    def __init__(self, routing: Routing, copying: Copying, checking: Checking, stopped: Callable[[str], bool]) -> None:
        """stopped(model): whether this process has stopped the candidate."""
        self._routing, self._copying, self._checking, self._stopped = routing, copying, checking, stopped

    def collect(self) -> Iterator[Metric]:
        stage = _gauge("signet_release_stage", "1 for the stage that the release of a model is at.", "stage")
        share = _gauge("signet_release_share", "Share of the requests that the candidate of a release is given.")
        missing = _gauge("signet_release_missing", "1 while a version that a release needs is not available.", "side")
        stopped = _gauge("signet_release_stopped", "1 once a process has stopped a candidate for what it did.")
        gate = _gauge("signet_release_check", "1 for how far the gate is with what is to be released.", "progress")
        for model, plan in self._routing.plans.items():
            check = self._checking.known.get(model)
            for progress in Progress:
                gate.add_metric([model, progress], check is not None and check.progress is progress)
            for each in Stage:
                stage.add_metric([model, each], plan.release.stage is each)
            share.add_metric([model], plan.release.share)
            for side, version in ((STABLE, plan.stable), (CANDIDATE, plan.candidate)):
                absent = version is not None and not self._routing.available(model, version)
                missing.add_metric([model, side], absent)
            stopped.add_metric([model], self._stopped(model))
        yield from (stage, share, missing, stopped, gate)
        copies = CounterMetricFamily(
            "signet_release_copies",
            "Copies of requests for a candidate, by what became of them: shown, full (no room), away (it was not there).",
            labels=["model", "outcome"],
        )
        for (model, outcome), count in list(self._copying.outcomes.items()):
            copies.add_metric([model, outcome], count)
        yield copies
        differs = _gauge(
            "signet_release_output_differs_ratio",
            "Part of the copies in which an output of the candidate differed by more than limits.tolerance.",
            "output",
        )
        for model in self._routing.plans:
            for output, found in self._copying.outputs_of(model).items():
                differs.add_metric([model, output], found.differs / found.copies)
        yield differs

    def describe(self) -> Iterator[Metric]:
        return iter(())  # or the registry would collect when there is nothing yet


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    made: GaugeMetricFamily = combined_by("max", GaugeMetricFamily(name, text, labels=["model", *labels]))
    return made
