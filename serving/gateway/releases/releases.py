"""The releases of one gateway, put together: who gets which version, and what follows from their files.

release.json ──Following──▶ Routing ──▶ `Inference.routes`, while any model has a release
     ▲              └─────▶ LabelFile: the labels of model servers, where somebody wants that
     ▲── rolled_back ──────── Checking: the gate, when a candidate appears
     ▲── rolled_back ──────── Brake ◀── `Inference.judged`, while a candidate is on its way
                                ▲── Copying ◀── `Inference.copied`, while one is shown copies
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from signet.serving.errors import Unavailable, UsageError
from signet.serving.gateway.core.backend import Backend
from signet.serving.gateway.core.inference import Inference
from signet.serving.gateway.observability.request_context import RequestContext
from signet.serving.gateway.releases import checking, known
from signet.serving.gateway.releases.brake import Brake
from signet.serving.gateway.releases.checking import Checking
from signet.serving.gateway.releases.copying import Copying
from signet.serving.gateway.releases.following import Following, Place
from signet.serving.gateway.releases.known import Known, OnTrial
from signet.serving.gateway.releases.label_file import LabelFile
from signet.serving.gateway.releases.release_metrics import ReleaseMetrics
from signet.serving.gateway.releases.routing import Routing
from signet.serving.gateway.releases.shadow import OUTCOMES
from signet.serving.gateway.settings import Settings
from signet.serving.models.model_config import ModelConfig
from signet.serving.models.model_status import State
from signet.serving.process.child import ANSWERS_S, Parent
from signet.serving.process.supervision import Failures
from signet.serving.releases.judge import Evidence
from signet.serving.releases.replica import Replica
from signet.serving.releases.store import ReleaseStore

_STOP_S = 5.0
"""Seconds that a stop waits for a file that is being read or written."""


class Releases:
    """What a gateway knows and does of releases."""

    def __init__(
        self,
        settings: Settings,
        backend: Backend,
        inference: Inference,
        failures: Failures,
        place: Callable[[str], Place | None],
        registry: CollectorRegistry | None = None,
        label_file: LabelFile | None = None,
        parent: Parent | None = None,
    ) -> None:
        """Reads the files once, so that the first request is answered by what they say.

        place: as `Following` has it. registry: of the metrics. label_file: of the model servers, if that is to follow.
        parent: of this process, if it is one of several.
        """
        self._parent = parent
        self.place = place
        self.name = f"{socket.gethostname()[:150]}-{secrets.token_hex(4)}"
        """What this process is called among those whose evidence is summed up."""
        self._backend, self._keeps = backend, not settings.backend or label_file is not None
        self.routing = Routing(backend.available)
        self._inference = inference
        poll_s = settings.store_poll_s if settings.model_store else settings.poll_s
        self._following = Following(
            self.routing,
            lambda: backend.models,
            place,
            label_file.pin if label_file else backend.pin,
            poll_s,
            failures,
            changed=self._in_force,
            looked=partial(label_file.step, self.routing.labelled) if label_file else lambda: None,
            lowered=self.changed,
        )
        self.brake = Brake(self.routing.stop, self._following.lower, failures)
        self.copying = Copying(inference, backend, self.brake)
        self.checking = Checking(
            self.name,
            lambda: self._following.models,
            self._following.seen,
            place,
            backend.last_statuses,
            self.changed,
            poll_s,
            failures,
            checking.NO_ENGINE if settings.backend else "" if settings.release_check else checking.TURNED_OFF,
        )
        if registry is not None:
            registry.register(ReleaseMetrics(self.routing, self.copying, self.checking, self.routing.stopped))
        self._following.look()
        backend.watch_versions(self._following.appears)

    def start(self) -> None:
        """Follow the files from now on."""
        self._following.start()
        self.checking.start()

    def look(self) -> None:
        """Look at the files at once."""
        self._following.wake()

    def changed(self) -> None:
        """Have all processes of this service look at once: one of them has changed a file. For any thread."""
        if self._parent is None:
            self.look()
        else:
            self._parent.tell("released")  # which tells all, this one too

    def stop(self) -> None:
        """Write what is to be rolled back; for any thread. Copies are forgotten by `forget`, in the event loop."""
        self.checking.stop(_STOP_S)
        self._following.stop(_STOP_S)

    def replica(self, model: str) -> Replica:
        """What this process knows of a model's release."""
        plan, trial = self.routing.plans.get(model), self.brake.trials.get(model)
        statuses = self._backend.last_statuses(model)
        return Replica(
            self.name,
            self._following.seen(model),
            frozenset(status.version for status in statuses if status.state is State.AVAILABLE),
            self._keeps,
            trial.verdict if trial is not None and plan is not None else "",
            trial.evidence if trial is not None else Evidence(),
        )

    def known(self, model: str) -> Known:
        """The same with what it has seen of copies. For the event loop, which counts: a half of what it adds would be wrong."""
        trial = self.brake.trials.get(model)
        return Known(
            known.dumped(self.replica(model)),
            OnTrial(trial.policy, trial.release.share, trial.baked_s) if trial is not None else None,
            {outcome: self.copying.outcomes.get((model, outcome), 0) for outcome in OUTCOMES},
            self.copying.outputs_of(model),
            self.checking.told(model),
        )

    async def known_by_all(self, model: str) -> list[Known]:
        """What each process of this service knows, and that some do not tell: they may have stopped the candidate.

        Raises `Unavailable` where nobody tells in time.
        """
        if self._parent is None:
            return [self.known(model)]
        try:
            async with asyncio.timeout(ANSWERS_S):
                answers = await self._parent.ask("release", model)
        except TimeoutError:
            answers = []
        told = [answer for answer in answers if isinstance(answer, Known)]
        if not told:
            raise Unavailable("the processes of this service do not tell in time what they know of the release")
        silent = self._parent.places - len(told)
        return [*told, known.silent(f"{self.name} ({silent} of {self._parent.places} processes)")] if silent else told

    def forget(self) -> None:
        """Show no copies any more."""
        self.copying.shadow.stop()

    def _in_force(self) -> None:
        """In the thread that follows: requests pay for releases only where there are some."""
        routing = self.routing
        self.brake.follow({model: plan.release for model, plan in routing.plans.items()})
        self._inference.routes = routing if routing.plans or routing.broken else None
        plans = routing.plans.items()
        self._backend.on_trial({model: plan.candidate for model, plan in plans if plan.candidate is not None})
        trials = self.brake.trials.values()
        shown = any(trial.release.shadow for trial in trials)
        self._inference.copied = self.copying.begin if shown else None
        self._inference.judged = self._judged if any(trial.release.open for trial in trials) else None

    def _judged(self, request: RequestContext, code: str, seconds: float, response_bytes: int) -> None:
        self.brake.observe(request, code, seconds, response_bytes)
        if request.sample is not None:
            self.copying.observe(request, code, seconds, response_bytes)


def places(settings: Settings, configs: Sequence[ModelConfig]) -> Callable[[str], Place | None] | None:
    """Where the releases of models lie: beside their versions; None where nobody knows where those are.

    configs: of a model config file.
    """
    if settings.model_config_file:
        stores = {config.name: _beside(config.base_path) for config in configs}
        return stores.get
    folder = settings.models_dir
    if folder is None:
        return None
    store = ReleaseStore(settings.model_store) if _writable(settings.model_store) else ReleaseStore(folder)
    elsewhere = bool(settings.backend and settings.models)
    return lambda model: Place(store, model, folder / model, elsewhere)


def _beside(base_path: Path) -> Place:
    return Place(ReleaseStore(base_path.parent), base_path.name, base_path)


def _writable(address: str) -> bool:
    """Whether releases can lie there, too."""
    if not address:
        return False
    try:
        ReleaseStore(address)
    except UsageError:
        return False
    return True
