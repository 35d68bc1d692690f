"""Admission control: load that would only wait is shed at once, with 429 or RESOURCE_EXHAUSTED, before it is read.

    request ──▶ places left for its model? ──▶ would the model answer in time? ──▶ answered
                 └── no ──────────────────────── └── no ──▶ `Overloaded`, which says when to come back

There is no rate limit. What is bounded is what is in work, here in requests and in `process/byte_budget.py` in bytes, and the
time that an answer takes: what cannot be in time is refused while that costs nothing (`shedding/budget.py`). The places of
requests in work are shared among models, so that none takes them all (`fairness/places.py`), and those of a model among its
callers (`fairness/callers.py`).
"""

import time
from collections.abc import Callable, Collection
from functools import partial

from signet.serving.errors import Overloaded
from signet.serving.gateway.core.fairness.callers import Caller
from signet.serving.gateway.core.fairness.places import Places
from signet.serving.gateway.core.load import Load
from signet.serving.gateway.observability.metrics import Metrics
from signet.serving.gateway.observability.request_context import RequestContext


class Admission:
    """Admits the inference requests of one gateway, over all protocols. Only the event loop counts."""

    def __init__(
        self,
        max_in_flight: int,
        metrics: Metrics,
        models: Callable[[], Collection[str]],
        slots: Callable[[str], int],
        max_rows: int,
        most_s: float,
    ) -> None:
        """max_in_flight: most requests that are in work at once. models: those served now. slots: as `Backend.slots`.

        max_rows: most rows in a joint call. most_s: seconds that any request may take.
        """
        self._metrics, self._slots = metrics, slots
        self._max_rows, self._most_s = max_rows, most_s
        self.places = Places(max_in_flight, lambda: len(models()))
        """Of the requests in work, by model."""
        self._loads: dict[str, Load] = {}
        self._by_path: dict[bytes, Load] = {}
        """The same by the models' names as they stand in paths."""
        self._full: dict[str, Overloaded] = {}
        """What to say, made once: one for all and two for each model."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits for a call of any model, and none runs beside the event loop."""
        return not any(load.rows or load.running for load in self._loads.values())

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
        if load is None:
            if not self.places.take_unnamed():
                return self._too_many(None)
        elif refusal := self._enter(request, load):
            return refusal
        self._metrics.in_flight[request.protocol].count += 1
        return None

    def full(self) -> Overloaded | None:
        """Why a request is refused whatever it asks for; None: it is not. It is counted as shed."""
        return self._too_many(None) if self.places.taken >= self.places.most else None

    def assign(self, request: RequestContext, load: Load) -> Overloaded | None:
        """Count a request that was admitted without its model as one of that model; or say why it is refused."""
        self.places.leave(None)
        refusal = self._enter(request, load)
        if refusal:
            self.places.take_unnamed()
        return refusal

    def refusal(self, request: RequestContext, load: Load) -> Overloaded | None:
        """Why a request of a model is refused; None: it is not. It is counted as shed."""
        places, callers = self.places, load.callers
        alone = callers.alone == request.caller  # as most of the time
        caller = None if alone else callers.known(request.caller, request.started)
        if places.taken >= places.ample:
            room = places.room(load.model)
            if room <= 0:
                return self._too_many(load)
            if caller and not callers.lends(caller, places.used.get(load.model, 0), room):
                return self._too_many(load, caller)
        if not (load.rows or load.running):
            return None
        deadline = request.deadline if request.limited else None
        refusal = load.refusal(deadline, self._most_s, time.perf_counter(), caller)
        if refusal is not None:
            self._metrics.shed_by_wait.inc()
        return refusal

    def _enter(self, request: RequestContext, load: Load) -> Overloaded | None:
        """Take a place of the model for the caller; or say why there is none."""
        places = self.places
        busy = load.rows or load.running or places.taken >= places.ample
        if busy and (refusal := self.refusal(request, load)):
            return refusal
        places.add(load.model)
        request.share = load.callers.enter(request.caller, request.started)
        return None

    def leave(self, request: RequestContext, load: Load | None) -> None:
        """Count an admitted request as in work no more. load: of its model, if it was known by then."""
        self._metrics.in_flight[request.protocol].count -= 1
        if load is None:
            self.places.leave(None)
            return
        self.places.leave(load.model)
        if request.share:
            load.callers.leave(request.share)
            request.share = None

    def _too_many(self, load: Load | None, caller: Caller | None = None) -> Overloaded:
        """What to say when there is no place: none at all, none for the model, or none for this caller of it."""
        places = self.places
        if load is None or places.taken >= places.most:
            reason, said = "in_flight", f"{places.most} requests are in progress, which is the limit"
        elif caller is None:
            reason, said = (
                "model_share",
                f"model {load.model!r} has its share of the {places.most} requests in progress",
            )
        else:
            reason = "caller_share"
            said = (
                f"you have your share of the {places.most} requests in progress, beside other callers of {load.model!r}"
            )
        self._metrics.shed.labels(reason).inc()
        refusal = self._full.get(said)
        if refusal is None:
            refusal = self._full[said] = Overloaded(f"{said}; try again in a second")
            refusal.retry_after_s = 1.0
        return refusal
