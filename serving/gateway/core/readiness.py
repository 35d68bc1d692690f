"""Readiness: whether this service should get traffic. /readyz, V2 and gRPC's health service tell it.

One process of several is asked for all of them: what its parent last said counts (`service`), not its own state.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from signet.serving.gateway.core.backend import Backend

_REASONS = 4
"""Models of which is told why they are missing, and versions that releases lack."""


class Releases(Protocol):
    """What is known of releases, by any thread."""

    def problems(self) -> list[str]:
        """A sentence about each version that a release needs and that is not there, and each release that cannot be read."""

    def unready(self) -> list[str]:
        """Models with a release whose stable version has not been there yet."""


class Readiness:
    """The readiness of one gateway. Any thread may read it; only the main event loop writes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._declared = frozenset(backend.models)
        self.releases: Releases | None = None
        """What is known of releases; None: no model can have one. Written once, before anybody reads."""
        self.draining = False
        """Whether a graceful shutdown is under way; once true it stays so."""
        self.service: Mapping[str, Any] | None = None
        """What `state` is of all processes together; None for a process that is alone."""

    @property
    def ready(self) -> bool:
        """Whether the service should get traffic."""
        return self.own if self.service is None else bool(self.service["ready"])

    def state(self) -> Mapping[str, Any]:
        """What /readyz tells of this process."""
        backend = self._backend
        missing = backend.unready()
        why = [backend.why_missing(model) for model in missing[:_REASONS]]
        if self.releases is not None:
            missing = list(dict.fromkeys([*missing, *self._unreleased()]))
        known = {"draining": self.draining, "models": backend.models, "missing": missing, "why": why}
        if self.releases is not None and (problems := self.releases.problems()):
            known["releases"] = problems[:_REASONS]
        return {"ready": self.own, **known}

    @property
    def own(self) -> bool:
        """Whether there are models here, each declared or there at the start has been served, and no stop is under way.

        A model that comes later, and a bad later version of any, turn nobody away from the others. Where a model has a release,
        it is served when the stable version of that has been.
        """
        if not self._backend.models or self.draining or self._backend.unready():
            return False
        return not self._unreleased()

    def _unreleased(self) -> list[str]:
        """Models of which the released version has not been there. Of one that has just been taken away nobody waits for any;
        one that came later turns nobody away from the others.
        """
        if self.releases is None:
            return []
        served = self._backend.models
        waited_for = self._declared.intersection(served) or served
        return [model for model in self.releases.unready() if model in waited_for]
