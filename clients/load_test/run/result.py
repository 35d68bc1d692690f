"""What a run gave: everything the report, a comparison and another program need, as one JSON document.

    slices (model × second) ──percentiles.py──▶ summaries of the whole run, a step, a model, a second

The document holds the slices with their histograms, from which all else follows, and what follows, for people with jq.
A latency that is infinite, of requests that were never answered, is null in JSON.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from signet.clients.load_test.plan.slo import Verdict
from signet.clients.load_test.plan.steps import Step
from signet.clients.load_test.run.percentiles import Summary, summary
from signet.clients.load_test.run.recording import Slice
from signet.serving.errors import UsageError

_FORM = 1
"""The form of the document; another number is another form."""


@dataclass(frozen=True)
class ModelUnderTest:
    """A model of the mix, and what its requests were; the fields are those of the JSON document."""

    name: str
    version: int
    weight: float
    rows: int
    """Rows of each request."""
    bodies: str
    """Where the bodies came from: golden, signature or a file."""
    payload_bytes: int
    """Mean size of a request."""


@dataclass(frozen=True)
class ClientHealth:
    """What this process did to the measurement: how late it sent, how late it looked, how busy it was."""

    late_p50_s: float
    late_p99_s: float
    late_max_s: float
    lag_p99_s: float
    lag_max_s: float
    cpu_share: float
    """Processor time as a share of one core; the process uses one."""
    waited: int
    """Requests that waited for a connection, because the most that are allowed were in use."""
    overworked: bool
    """Whether it could not do what it was to do in time."""
    limits: tuple[str, ...]
    """Why this process, and not the server, may be what was measured; empty when it was not."""


@dataclass(frozen=True)
class Result:
    """One run of a load test; the fields are those of the JSON document."""

    url: str
    protocol: str
    arrivals: str
    """How requests came: poisson, fixed or closed."""
    started: str
    """When the run began, in UTC, ISO 8601."""
    seed: int
    models: list[ModelUnderTest]
    steps: list[Step]
    slices: list[Slice]
    client: ClientHealth
    said: dict[str, str] = field(default_factory=dict)
    """What the server said the first time, by outcome."""
    verdicts: list[Verdict] = field(default_factory=list)
    trials: list[bool] = field(default_factory=list)
    """Whether each step of a search met its limits; empty where nothing was searched."""
    found_rate: float | None = None
    """The highest rate, in requests per second, that met the limits of a search."""
    interrupted: bool = False
    signal: int = 0
    """The signal that interrupted the run: 2 for Ctrl-C, 15 for SIGTERM; 0: none did."""

    @property
    def kept(self) -> bool:
        """Whether all limits were kept; a search keeps them when it found a rate."""
        if self.trials:
            return self.found_rate is not None
        return all(verdict.kept for verdict in self.verdicts)

    @cached_property
    def by_second(self) -> list[tuple[int, int, Summary]]:
        """What was measured in each second: (step, second, summary), in order."""
        seconds = sorted({(part.step, part.second) for part in self.slices})
        grouped: dict[tuple[int, int], list[Slice]] = {second: [] for second in seconds}
        for part in self.slices:
            grouped[part.step, part.second].append(part)
        widths = [min(1.0, self.steps[step].seconds - second) for step, second in seconds]
        return [
            (*second, summary(grouped[second], max(0.001, width)))
            for second, width in zip(seconds, widths, strict=True)
        ]

    @cached_property
    def by_step(self) -> list[Summary]:
        """What was measured in each step."""
        return [
            summary((part for part in self.slices if part.step == number), self._seconds(number))
            for number in range(len(self.steps))
        ]

    @cached_property
    def by_model(self) -> list[Summary]:
        """What was measured of each model, over all steps."""
        return [
            summary((part for part in self.slices if part.model == number), self.seconds)
            for number in range(len(self.models))
        ]

    @cached_property
    def total(self) -> Summary:
        """What was measured, over all steps and models."""
        return summary(self.slices, self.seconds)

    @property
    def seconds(self) -> float:
        """The length of the run; less than planned when it was interrupted."""
        return sum(self._seconds(number) for number in range(len(self.steps)))

    def _seconds(self, step: int) -> float:
        planned = self.steps[step].seconds
        if not self.interrupted:
            return planned
        return min(planned, max((part.second + 1.0 for part in self.slices if part.step == step), default=0.0))


def write(result: Result, path: Path) -> None:
    """Write a result as JSON. Raises `UsageError` when the path cannot be written."""
    try:
        path.write_text(text(result))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def text(result: Result) -> str:
    """A result as JSON."""
    document = {
        "signet_load": _FORM,
        **asdict(result),
        "summary": {
            "kept": result.kept,
            "total": result.total.document(),
            "steps": [
                {"step": str(step), **part.document()} for step, part in zip(result.steps, result.by_step, strict=True)
            ],
            "models": [
                {"model": tested.name, **part.document()}
                for tested, part in zip(result.models, result.by_model, strict=True)
            ],
        },
    }
    return json.dumps(document, indent=1, allow_nan=False)


def read(path: Path) -> Result:
    """Read a document that `write` wrote. Raises `UsageError`."""
    try:
        document = json.loads(path.read_text())
        if document.pop("signet_load") != _FORM:
            raise UsageError(f"{path} was written by another version of `signet load`")
        document.pop("summary")
        return Result(
            **{
                **document,
                "models": _each(ModelUnderTest, document["models"]),
                "steps": _each(Step, document["steps"]),
                "slices": _each(Slice, document["slices"]),
                "verdicts": _each(Verdict, document["verdicts"]),
                "client": ClientHealth(**{**document["client"], "limits": tuple(document["client"]["limits"])}),
            }
        )
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no result of `signet load --json`: {error!r}") from error


def _each(make: Callable[..., Any], documents: list[dict[str, Any]]) -> list[Any]:
    return [make(**document) for document in documents]
