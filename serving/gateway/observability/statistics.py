"""Counts and seconds of every version since the start, as the Open Inference Protocol's statistics extension tells them.

    success, fail     requests answered, from the first byte to the answer
    queue             waiting for a call        compute_input     text to arrays
    compute_infer     the call                  compute_output    arrays to text

The last four are those of successful requests. Numbers of rows and of calls stand beside them.
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from signet.serving.gateway.observability.metrics import STAGES, UNKNOWN
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.process.combining import Family, combined_by, family

_COUNTS = ("rows", "calls", "successes", "success_s", "failures", "failure_s")
_STAGE = "stage_"

_MAX_VERSIONS = 8
"""Versions of a model that are kept; the one that came first goes first."""


@dataclass(slots=True)
class VersionStatistics:
    """The counts and seconds of one version since the start."""

    rows: int = 0
    calls: int = 0
    last_inference_s: float = 0.0
    """When the version answered last, in seconds since 1970; 0 for never."""
    successes: int = 0
    success_s: float = 0.0
    failures: int = 0
    failure_s: float = 0.0
    stages_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    """Stage -> seconds that successful requests spent in it."""

    def values(self) -> dict[str, Any]:
        """The statistics in the form of the protocol's extension."""
        stages_s, count = self.stages_s, self.successes
        return {
            "last_inference": round(self.last_inference_s * 1e3),
            "inference_count": self.rows,
            "execution_count": self.calls,
            "inference_stats": {
                "success": _duration(count, self.success_s),
                "fail": _duration(self.failures, self.failure_s),
                "queue": _duration(count, stages_s["queue"]),
                "compute_input": _duration(count, stages_s["parse"] + stages_s["decode"]),
                "compute_infer": _duration(count, stages_s["run"] - stages_s["queue"]),
                "compute_output": _duration(count, stages_s["encode"]),
            },
        }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}


class Statistics:
    """The statistics of all models of a gateway. Only the event loop touches them."""

    def __init__(self, served: Callable[[], Collection[str]]) -> None:
        """served: gives the models there are now; of others nothing is kept once another one comes."""
        self._served = served
        self._models: dict[str, dict[str, VersionStatistics]] = {}

    def count_call(self, model: str, version: int) -> None:
        """Count a call of a version that starts."""
        self._version(model, str(version)).calls += 1

    def count_request(self, context: RequestContext, ok: bool, seconds: float) -> None:
        """Count a request that has been answered, unless it never got as far as a version."""
        if context.version == UNKNOWN:
            return
        version = self._version(context.model, context.version)
        if not ok:
            version.failures += 1
            version.failure_s += seconds
            return
        version.rows += context.rows
        version.last_inference_s = time.time()
        version.successes += 1
        version.success_s += seconds
        stages_s = version.stages_s
        stages_s["parse"] += context.parse_s or 0.0
        stages_s["decode"] += context.decode_s or 0.0
        stages_s["queue"] += context.queue_s or 0.0
        stages_s["run"] += context.run_s or 0.0
        stages_s["encode"] += context.encode_s or 0.0

    def families(self) -> list[Family]:
        """All that has been counted, for other processes to add to what they count. Any thread may ask."""
        counts = CounterMetricFamily("signet_version_statistics", "", labels=("model", "version", "what"))
        last = combined_by("max", GaugeMetricFamily("signet_version_last_inference", "", labels=("model", "version")))
        for model, versions in list(self._models.items()):
            for version, found in list(versions.items()):
                for what in _COUNTS:
                    counts.add_metric((model, version, what), getattr(found, what))
                for stage, seconds in found.stages_s.items():
                    counts.add_metric((model, version, _STAGE + stage), seconds)
                last.add_metric((model, version), found.last_inference_s)
        return [family(counts), family(last)]

    @classmethod
    def from_families(cls, families: Sequence[Family]) -> "Statistics":
        """What `families` of one or, added up, of several processes tell."""
        statistics = cls(lambda: statistics._models)
        for one in families:
            for (_, labels), value in one.values.items():
                told = dict(labels)
                version = statistics._version(told["model"], told["version"])
                what = told.get("what", "last_inference_s")
                if what.startswith(_STAGE):
                    version.stages_s[what.removeprefix(_STAGE)] = value
                else:
                    setattr(version, what, value)
        return statistics

    def of(self, model: str, versions: Iterable[int]) -> list[dict[str, Any]]:
        """One line of statistics for each of these versions."""
        known = self._models.get(model, {})
        return [
            {"name": model, "version": str(version), **known.get(str(version), VersionStatistics()).values()}
            for version in versions
        ]

    def _version(self, model: str, version: str) -> VersionStatistics:
        if model not in self._models:
            served = {model, *self._served()}
            self._models = {name: versions for name, versions in self._models.items() if name in served} | {model: {}}
        versions = self._models[model]
        found = versions.get(version)
        if found is None:
            if len(versions) >= _MAX_VERSIONS:
                del versions[next(iter(versions))]
            found = versions[version] = VersionStatistics()
        return found
