"""Admission control: load that would only wait is shed at once, with 429 or RESOURCE_EXHAUSTED, before it is read.

    request ──▶ fewer than `max_in_flight` in work? ──▶ would its model answer in time? ──▶ answered
                 └── no ──────────────────────────────── └── no ──▶ `Overloaded`, which says when to come back

There is no rate limit. What is bounded is what is in work, here in requests and in `process/byte_budget.py` in bytes, and the
time that an answer takes: what cannot be in time is refused while that costs nothing (`shedding/budget.py`).
"""

import time
from collections.abc import Callable, Collection
from functools import partial

from signet.serving.errors import Overloaded
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import RequestContext


class Admission:
    """Admits the inference requests of one gateway, over all protocols. Only the event loop counts."""

    def __init__(
        self, max_in_flight: int, metrics: Metrics, slots: Callable[[str], int], max_rows: int, most_s: float
    ) -> None:
        """max_in_flight: most requests that are in work at once. slots: as `Backend.slots`.

        max_rows: most rows in a joint call. most_s: seconds that any request may take.
        """
        self._max_in_flight, self._metrics, self._slots = max_in_flight, metrics, slots
        self._max_rows, self._most_s = max_rows, most_s
        self._in_flight = 0
        self._loads: dict[str, Load] = {}
        self._by_path: dict[bytes, Load] = {}
        """The same by the models' names as they stand in paths."""
        self._full: Overloaded | None = None

    def load(self, model: str) -> Load:
        """The load of a model that is there; the batcher writes it."""
        load = self._loads.get(model)
        if load is None:
            load = Load(model, partial(self._slots, model), float(self._max_rows))
            self._loads[model] = self._by_path[model.encode()] = load
        return load

    def load_in_path(self, name: bytes) -> Load | None:
        """The load of the model that a path names; None where it is not known yet, or written with escapes."""
        return self._by_path.get(name)

    def predicted_waits_s(self, models: Collection[str]) -> dict[str, float]:
        """Seconds that a request of each of these models would wait for its call if it came now. Others are forgotten."""
        for model, load in list(self._loads.items()):
            if model not in models and not load.rows and not load.running:
                del self._loads[model], self._by_path[model.encode()]
        return {model: self._loads[model].predicted_s() if model in self._loads else 0.0 for model in models}

    def admit(self, request: RequestContext, load: Load | None) -> Overloaded | None:
        """Count one request more as in work, until it leaves; or say why it is refused. load: None where its model is not known.

        Nothing is raised: a refusal has to cost less than the request would.
        """
        if self._in_flight >= self._max_in_flight:
            self._metrics.shed.labels("in_flight").inc()
            return self._too_many()
        if load is not None and (load.rows or load.running) and (refusal := self.refusal(request, load)):
            return refusal
        self._in_flight += 1
        self._metrics.in_flight[request.protocol].count += 1
        return None

    def refusal(self, request: RequestContext, load: Load) -> Overloaded | None:
        """Why a request is refused whose model is busy; None: it is not. It is counted as shed."""
        refusal = load.refusal(request.deadline if request.limited else None, self._most_s, time.perf_counter())
        if refusal is not None:
            self._metrics.shed_by_wait.inc()
        return refusal

    def leave(self, protocol: str) -> None:
        """Count an admitted request as in work no more."""
        self._in_flight -= 1
        self._metrics.in_flight[protocol].count -= 1

    def _too_many(self) -> Overloaded:
        if self._full is None:
            self._full = Overloaded(
                f"{self._max_in_flight} requests are in progress, which is the limit; try again in a second"
            )
            self._full.retry_after_s = 1.0
        return self._full
